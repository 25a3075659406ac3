// Command hapair provisions and runs one virtual IP in front of Redis on two
// Linux hosts, with keepalived.
package main

import (
	"os"

	"hapair/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
