package cli

import (
	"github.com/spf13/cobra"

	"hapair/remote/lab"
)

// newCmdLabForwarder is the process that serves packages to a lab's hosts. lab
// up starts it.
func newCmdLabForwarder() *cobra.Command {
	return &cobra.Command{
		Use:    "forwarder NAME",
		Short:  "Serve packages to a lab",
		Hidden: true,
		RunE:   func(_ *cobra.Command, args []string) error { return lab.ForwarderMain(args) },
	}
}
