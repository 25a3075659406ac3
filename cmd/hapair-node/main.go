// Command hapair-node is what the hooks of a pair with handlers "node" run: on its
// hosts, beside the hooks, where hapair puts it. It reads pair.json there.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hapair/remote/node"
)

func main() {
	err := run(os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, node.ErrUnwell):
		os.Exit(1)
	case errors.Is(err, node.ErrUsage):
		fmt.Fprintf(os.Stderr, "hapair-node: %v\n\nusage: hapair-node VERB\n", err)
		for _, v := range node.Verbs {
			fmt.Fprintf(os.Stderr, "  %-11s %s\n", v.Name, v.Does)
		}
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "hapair-node:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	s, err := node.ReadSettings(filepath.Join(filepath.Dir(program), "pair.json"))
	if err != nil {
		return err
	}
	return node.Run(context.Background(), s, args, os.Stdout)
}
