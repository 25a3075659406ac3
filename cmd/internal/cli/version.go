package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newCmdVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which hapair this is",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			a.human().Text(fmt.Sprintf("hapair %s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
			return nil
		},
	}
}

// version is what the Go tool knows of this build: a release's tag, or the
// commit that was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
