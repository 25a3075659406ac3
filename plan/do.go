package plan

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/source"
	"hapair/remote"
)

var (
	//go:embed account.sh
	accountScript string
	//go:embed packages.sh
	packagesScript string
	//go:embed place.sh
	placeScript string
	//go:embed units.sh
	unitsScript string
)

// work is one step under way: what it does, and what it hears of it.
type work struct {
	*applying
	step Step
	log  *logFile
}

// do carries out a step. Each one looks at what is so before it acts, so a
// step that was interrupted anywhere can be done again.
func (w *work) do(ctx context.Context) error {
	s := w.step
	if s.Fetch != nil {
		_, err := w.cache.Fetch(ctx, *s.Fetch, w.bytes)
		return err
	}
	if s.Pair != nil {
		return w.run(ctx)
	}
	host, err := w.hosts.get(s.At)
	if err != nil {
		return err
	}
	switch {
	case s.Account != nil:
		return script(ctx, host, s.Title, accountScript, nil, s.Account.User, s.Account.Group, s.Account.Home)
	case s.Packages != nil:
		return w.packages(ctx, host)
	case s.Build != nil:
		return w.build(ctx, host)
	case s.Install != nil:
		return w.cache.Install(ctx, host, s.Install.Recipe, s.Install.Platform, s.Install.Target, w.bytes)
	case s.Uninstall != nil:
		return source.Uninstall(ctx, host, s.Uninstall.Record)
	case s.Place != nil:
		return place(ctx, host, s.Place)
	case s.Units != nil:
		return script(ctx, host, s.Title, unitsScript, nil, s.Units.orders()...)
	}
	return fmt.Errorf("step %s says nothing that can be done", s.ID)
}

// script runs one of this package's scripts.
func script(ctx context.Context, host remote.Runner, name, text string, stdin io.Reader, args ...string) error {
	_, err := host.Run(ctx, remote.Cmd{
		Name:  name,
		Argv:  append([]string{"sh", "-c", text, "sh"}, args...),
		Stdin: stdin,
	})
	return err
}

func (w *work) bytes(done, total int64) { w.progress(w.step, Progress{Done: done, Total: total}) }

func (w *work) packages(ctx context.Context, host remote.Runner) error {
	p := w.step.Packages
	if err := w.log.open(w.logs, "packages-"+w.step.At.Pair+"-"+w.step.At.Host); err != nil {
		return err
	}
	w.progress(w.step, Progress{Text: strings.Join(p.Names, " "), Log: w.log.path})
	argv := append([]string{"sh", "-c", packagesScript, "sh", string(p.Manager)}, p.Names...)
	argv = append(append(argv, "--"), p.Mask...)
	_, err := host.Run(ctx, remote.Cmd{Name: "install packages", Argv: argv, Stdout: w.log, Stderr: w.log})
	return err
}

// build builds, unless another pair's step has meanwhile.
func (w *work) build(ctx context.Context, host remote.Runner) error {
	b := w.step.Build
	key := b.Recipe.Key(b.Platform)
	defer w.locks.lock(key)()
	if f, _, err := w.cache.Open(key); err == nil {
		return f.Close()
	}
	tarball, err := w.cache.Fetch(ctx, b.Recipe, nil)
	if err != nil {
		return err
	}
	if err := w.log.open(w.logs, fmt.Sprintf("build-%s-%s-%s", b.Recipe.Product, b.Recipe.Version, w.step.At.Host)); err != nil {
		return err
	}
	return w.cache.Build(ctx, source.Site{
		Host: host, Dir: buildDir, Log: w.log,
		Stage: func(what string) { w.progress(w.step, Progress{Text: what, Log: w.log.path}) },
	}, b.Recipe, b.Platform, tarball)
}

func (u *Units) orders() []string {
	var orders []string
	add := func(verb string, units ...string) {
		for _, name := range units {
			orders = append(orders, verb+" "+name)
		}
	}
	add("disable", u.Disable...)
	add("stop", u.Stop...)
	if u.Reload {
		add("reload", "-")
	}
	add("enable", u.Enable...)
	add("restart", u.Restart...)
	add("renew", u.Renew...)
	return orders
}

func place(ctx context.Context, host remote.Runner, p *Place) error {
	var before, after strings.Builder
	for _, d := range p.Dirs {
		fmt.Fprintf(&before, "dir %s %s %s\n", d.Mode, d.Owner, d.Path)
	}
	var files []remote.File
	for _, f := range p.Files {
		if f.Backup != "" {
			fmt.Fprintf(&before, "keep %s %s\n", f.Backup, f.Path)
		}
		content := []byte(f.Text)
		if f.bytes != nil {
			content = f.bytes
		}
		if sum(content) != f.SHA256 {
			return fmt.Errorf("%s: its content is not in this plan: it was read from a file, which holds neither secrets nor programs", f.Path)
		}
		owner, group, _ := strings.Cut(f.Owner, ":")
		files = append(files, remote.File{Path: f.Path, Content: content, Mode: fs.FileMode(f.Mode), Owner: owner, Group: group})
	}
	for _, dir := range p.RemoveDirs {
		fmt.Fprintf(&after, "rmdir %s\n", dir)
	}
	if err := prepare(ctx, host, "make folders", &before); err != nil {
		return err
	}
	if err := remote.WriteFiles(ctx, host, files); err != nil {
		return err
	}
	if err := remote.RemoveFiles(ctx, host, p.Remove); err != nil {
		return err
	}
	return prepare(ctx, host, "remove folders", &after)
}

func prepare(ctx context.Context, host remote.Runner, name string, lines *strings.Builder) error {
	if lines.Len() == 0 {
		return nil
	}
	return script(ctx, host, name, placeScript, strings.NewReader(lines.String()))
}

// ref is a host of the step's pair, by its name there.
func (w *work) ref(host string) facts.Ref { return facts.Ref{Pair: w.step.At.Pair, Host: host} }
