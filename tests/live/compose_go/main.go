// Loads a compose file as Compose v2 does and prints the project as JSON.
//
//	go run . FILE [PROFILE…]
//
// Variables come from the environment, as for Compose itself.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func run() error {
	if len(os.Args) < 2 {
		return fmt.Errorf("usage: %s FILE [PROFILE…]", os.Args[0])
	}
	options, err := cli.NewProjectOptions(
		[]string{os.Args[1]},
		cli.WithOsEnv,
		cli.WithName("vqchaos"),
		cli.WithProfiles(os.Args[2:]),
	)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
