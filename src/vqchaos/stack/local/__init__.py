"""The local stack: real vLLM and real Toxiproxy as processes of this machine.

supervisord keeps two programs alive, also when vqchaos is gone: Toxiproxy and ``launcher``, which
starts, restarts and stops the server. vqchaos talks to the launcher through files in the state
folder (``state_files``), so that any later process can go on where an earlier one died.
"""
