package plan

import (
	"errors"
	"fmt"

	"hapair/plan/pair"
	"hapair/plan/source"
	"hapair/remote"
)

// StepError is a step that failed.
type StepError struct {
	Step Step
	Err  error
	// Output is the last lines of what the step printed, without secrets.
	Output []string
	Log    string // the whole output, a file on the controller; may be empty
	State  string // what state things are in now
	Next   string // what to do
}

func (e *StepError) Error() string {
	switch s := e.Step; {
	case s.Fetch != nil:
		return e.Err.Error()
	case s.Pair != nil:
		return s.At.Pair + ": " + e.Err.Error()
	default:
		return fmt.Sprintf("%s: %s: %s", s.At, s.Title, why(e.Err))
	}
}

// why is an error without what the step's title says already.
func why(err error) string {
	var build *source.BuildError
	if errors.As(err, &build) && build.Stage != "" {
		return build.Stage + ": " + why(build.Err)
	}
	var exit *remote.ExitError
	if errors.As(err, &exit) {
		if last := lastLines(exit.Stderr, 1); len(last) == 1 {
			return last[0]
		}
		return fmt.Sprintf("exit code %d", exit.Code)
	}
	return err.Error()
}

func (e *StepError) Unwrap() error { return e.Err }

// outputShown is how many lines of a program's last words an error keeps.
const outputShown = 20

// explain adds to a step's failure what its reader needs.
func (w *work) explain(err error) error {
	e := &StepError{Step: w.step, Err: err, Output: w.log.last(outputShown), Log: w.log.path}
	var exit *remote.ExitError
	if len(e.Output) == 0 && errors.As(err, &exit) {
		e.Output = lastLines(exit.Stderr, outputShown)
	}
	const again = "then run hapair apply again: it goes on from there."
	switch s := w.step; {
	case s.Fetch != nil:
		e.State = "No host was changed by this."
		e.Next = "Correct urls and sha256 in the spec, or put the file where they point, " + again
		var tarball *source.TarballError
		if errors.As(err, &tarball) {
			e.Next = "Use a tarball as its authors publish it, with its sha256 in the spec, " + again
		}
	case s.Account != nil:
		e.State = "The account may be there in part; nothing else was changed."
		e.Next = "See why the host refuses it, " + again
	case s.Packages != nil:
		e.State = "Some of the packages may be installed; the pair was not touched."
		e.Next = "See in the log what the package manager wants, put it right on the host, " + again
	case s.Build != nil:
		e.State = "Nothing of the build is left on the host; nothing was installed."
		e.Next = "See in the log what is missing: often a package, or an argument in `make` or `configure`. Put it right, " + again
	case s.Install != nil:
		e.State = "The program is as it was, or partly new; what runs goes on with the old one."
		e.Next = "Put right what the host says, " + again
	case s.Place != nil:
		e.State = "Each file is whole, either the old one or the new one."
		e.Next = "Put right what the host says, " + again
	case s.Units != nil:
		e.State = "The files are in place; what ran before the step still does, unless the output says otherwise."
		e.Next = "See what the unit says (systemctl status, journalctl -u), put it right, " + again
	case s.Pair != nil:
		e.State = "Everything is installed; see hapair status for what runs."
		e.Next = "Put right what it waits for, " + again
		var told *pair.Error
		if errors.As(err, &told) {
			e.Output = told.Log
			if told.Hint != "" {
				e.Next = told.Hint
			}
		}
	}
	var away *remote.Error
	if errors.As(err, &away) && away.Hint != "" {
		e.Next = away.Hint
	}
	return e
}
