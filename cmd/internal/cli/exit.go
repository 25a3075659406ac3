package cli

import (
	"errors"

	"hapair/plan/drill"
	"hapair/plan/pair"
)

// The exit codes of every command but status.
const (
	codeDone         = 0
	codeError        = 1
	codeChanges      = 2
	codeUnformatted  = 3
	codeDeviated     = drill.ExitDeviated     // 4
	codeInconclusive = drill.ExitInconclusive // 5
	codeInterrupted  = 130
)

// exitMeanings is what help says of the exit codes of a command.
func exitMeanings(command string) map[int]string {
	meanings := map[int]string{
		codeDone:        "done",
		codeError:       "error",
		codeInterrupted: "interrupted",
	}
	all := command == "hapair"
	if all || command == "hapair plan" {
		meanings[codeChanges] = "plan --detailed-exitcode: there are changes"
	}
	if all || command == "hapair fmt" {
		meanings[codeUnformatted] = "fmt --check: something would change"
	}
	if all || command == "hapair drill" {
		meanings[codeDeviated] = "drill: the pair broke one of its promises"
		meanings[codeInconclusive] = "drill: inconclusive; the fault could not be proved, or the pair was unhealthy before"
	}
	switch command {
	case "hapair status": // monitoring's codes, the values of pair.Level
		return map[int]string{
			int(pair.Healthy):  "healthy",
			int(pair.Warning):  "warning",
			int(pair.Critical): "critical",
			int(pair.Unknown):  "unknown; so is any error",
		}
	}
	return meanings
}

// Results that are no failure of hapair. They have been shown when they come
// to an exit code.
var (
	errChanges     = errors.New("the plan has changes")
	errUnformatted = errors.New("the spec is not formatted")
)

// healthError is what status found, when it is not good.
type healthError struct {
	level pair.Level
	err   error // why there is no picture; nil when it has been shown
}

func (e *healthError) Error() string {
	if e.err == nil {
		return "the pair is not healthy"
	}
	return e.err.Error()
}
func (e *healthError) Unwrap() error { return e.err }

// drillError is drills that did not all pass. What came of them has been shown.
type drillError struct{ results []*drill.Result }

func (e *drillError) Error() string { return "a drill did not pass" }

// interruptedError is how a command ended that was told to stop.
type interruptedError struct{ err error }

func (e *interruptedError) Error() string { return e.err.Error() }
func (e *interruptedError) Unwrap() error { return e.err }

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var (
		interrupted *interruptedError
		health      *healthError
		drilled     *drillError
	)
	switch {
	case err == nil:
		return codeDone
	case errors.As(err, &interrupted):
		return codeInterrupted
	case errors.As(err, &health):
		return int(health.level)
	case errors.Is(err, errChanges):
		return codeChanges
	case errors.Is(err, errUnformatted):
		return codeUnformatted
	case errors.As(err, &drilled):
		return drill.ExitCode(drilled.results)
	default:
		return codeError
	}
}

// worthSaying reports whether err has to be shown at the end, or has been.
func worthSaying(err error) bool {
	var (
		health  *healthError
		drilled *drillError
	)
	switch {
	case err == nil, errors.Is(err, errChanges), errors.Is(err, errUnformatted), errors.As(err, &drilled):
		return false
	case errors.As(err, &health):
		return health.err != nil
	default:
		return true
	}
}
