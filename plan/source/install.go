package source

import (
	"context"
	_ "embed"
	"io"
	"path"

	"hapair/remote"
)

//go:embed install.sh
var installScript string

// Target is where a program goes on a host.
type Target struct {
	Prefix string `json:"prefix"` // exists
	State  string `json:"state"`  // the folder of what hapair knows of this host; exists
	Group  string `json:"group"`  // may read and run the program; root owns it
}

// Install puts the build of r for a platform on a host, from the cache: one
// command, verified there against the sums that it was built with, and that
// every library it needs is there. progress hears the bytes sent.
func (c Cache) Install(ctx context.Context, host remote.Runner, r Recipe, p Platform, to Target, progress func(done, total int64)) error {
	f, size, err := c.Open(r.Key(p))
	if err != nil {
		return err
	}
	defer f.Close()
	count := &counter{total: size, tell: progress}
	_, err = host.Run(ctx, remote.Cmd{
		Name:  "install " + r.String(),
		Argv:  []string{"sh", "-c", installScript, "sh", r.Product, r.ID(), r.Version, to.Prefix, to.State, to.Group},
		Stdin: io.TeeReader(f, count),
	})
	return err
}

//go:embed uninstall.sh
var uninstallScript string

// Uninstall removes the files of a program that Install put on a host, by its
// record: Target.State, a slash, and the product.
func Uninstall(ctx context.Context, host remote.Runner, record string) error {
	_, err := host.Run(ctx, remote.Cmd{
		Name: "uninstall " + path.Base(record),
		Argv: []string{"sh", "-c", uninstallScript, "sh", record},
	})
	return err
}
