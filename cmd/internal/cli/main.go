// Package cli is hapair's command line: one file per command, each with an
// options struct, a constructor that turns flags into it, and a run function.
// The commands say what to do in which order; package plan and those below it
// do it, package view shows it, and one switch here turns errors into exit
// codes.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"hapair/cmd/internal/view"
)

// Main runs hapair with these arguments and streams and returns its exit code.
func Main(args []string, in io.Reader, out, err io.Writer) int {
	stop, release := watchSignals()
	defer release()
	a := &app{in: in, out: out, err: err, stop: stop}

	root := newCmdRoot(a)
	root.SetArgs(args)
	failure := root.ExecuteContext(stop.now)
	if failure == nil {
		failure = a.shown().Err()
	}
	if failure != nil && stop.asked.Err() != nil {
		failure = &interruptedError{failure}
	}
	if worthSaying(failure) {
		a.shown().Problem(failure)
	}
	return exitCode(failure)
}

// app is what commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	stop     interrupts

	noColor, quiet bool
	input          bool // whether anything may be asked

	view view.View
}

// mayAsk reports whether there is somebody to answer questions.
func (a *app) mayAsk() bool { return a.input && os.Getenv("HAPAIR_INPUT") != "0" }

// show makes the view of a command: for people, or as JSON. Problems are shown
// in the same way.
func (a *app) show(json bool) view.View {
	if !json {
		return a.human()
	}
	a.view = view.NewJSON(a.out, version())
	return a.view
}

// human is for commands that speak to people only.
func (a *app) human() *view.Human {
	h := view.NewHuman(view.Settings{
		NoColor: a.noColor || os.Getenv("NO_COLOR") != "",
		Still:   os.Getenv("CI") != "",
		Quiet:   a.quiet,
		NoHints: os.Getenv("HAPAIR_IN_AUTOMATION") != "",
	}, a.in, a.out, a.err)
	a.view = h
	return h
}

// shown is the view that the command chose, if it came so far.
func (a *app) shown() view.View {
	if a.view == nil {
		return a.human()
	}
	return a.view
}

// interrupts are the two ways in which hapair is told to end.
type interrupts struct {
	// asked is done after the first Ctrl-C: end what is under way, begin
	// nothing else. What changes nothing can end at once.
	asked context.Context
	// now is done after the second: drop everything.
	now context.Context
}

// halt is why a context ended that somebody ended on purpose.
type halt string

func (h halt) Error() string { return string(h) }
func (h halt) Unwrap() error { return context.Canceled }

// answer tells the person who asks to end while something is under way that
// it was heard, until it is released.
func (i interrupts) answer(v view.View) (release func()) {
	stop := context.AfterFunc(i.asked, v.Stopping)
	return func() { stop() }
}

// watchSignals turns signals into contexts, until they are released.
func watchSignals() (_ interrupts, release func()) {
	asked, ask := context.WithCancelCause(context.Background())
	now, drop := context.WithCancelCause(context.Background())

	// nohup has SIGHUP ignored, and a shell's background job SIGINT: so be it.
	ending := slices.DeleteFunc([]os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}, signal.Ignored)
	received := make(chan os.Signal, 2)
	if len(ending) > 0 {
		signal.Notify(received, ending...)
	}
	// Whoever reads our output may go away: that is an error of a write. By
	// default it would kill us in the middle of a step.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	released := make(chan struct{})
	go func() {
		for _, end := range []context.CancelCauseFunc{ask, drop} {
			select {
			case s := <-received:
				end(halt(fmt.Sprintf("interrupted (%v)", s)))
			case <-released:
				return
			}
		}
	}()
	return interrupts{asked, now}, func() {
		signal.Stop(received)
		close(released)
		ask(nil)
		drop(nil)
	}
}

// environ is the environment as a map.
func environ() map[string]string {
	env := map[string]string{}
	for _, one := range os.Environ() {
		name, value, _ := strings.Cut(one, "=")
		env[name] = value
	}
	return env
}
