"""What a run leaves for people and programs: pure functions of verdict.json's content."""
