// Package e2e holds what needs root and this machine's kernel: hosts in a lab,
// and rendered files before the programs that read them.
package e2e

import (
	"os"
	"testing"

	"hapair/remote/lab"
)

func TestMain(m *testing.M) {
	lab.Reexec()
	os.Exit(m.Run())
}
