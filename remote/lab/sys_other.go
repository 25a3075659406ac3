//go:build !linux

package lab

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
)

// Check reports why no lab can run on this machine.
func Check() error {
	return errors.New("a lab needs Linux's namespaces, and this is " + runtime.GOOS +
		": run hapair on a Debian machine, a virtual one will do, or point the spec at real hosts")
}

func inNetNS(string, func() error) error               { return Check() }
func makeHostsDir(string) error                        { return Check() }
func mountOverlay(lower, upper, work, at string) error { return Check() }
func unmount(string) error                             { return Check() }
func lockDir(*os.File) error                           { return Check() }
func waitLockDir(*os.File) error                       { return Check() }
func kill(int) error                                   { return Check() }
func dieWithParent(*exec.Cmd)                          {}
func ownGroup(*exec.Cmd)                               {}
func fileID(string) (dev, inode uint64, err error)     { return 0, 0, Check() }
