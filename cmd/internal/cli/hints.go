package cli

import (
	"os"

	"hapair/cmd/internal/view"
	"hapair/plan/spec"
	"hapair/remote"
	"hapair/remote/lab"
)

// program is hapair as it was called, so that hints can be copied.
func program() string {
	if len(os.Args) == 0 || os.Args[0] == "" {
		return "hapair"
	}
	return os.Args[0]
}

// flags are these options as they were given.
func (o *pairOptions) flags() string {
	var words []string
	for _, path := range o.paths {
		words = append(words, "-f", path)
	}
	for _, file := range o.varFiles {
		words = append(words, "--var-file", file)
	}
	if o.pair != "" {
		words = append(words, "--pair", o.pair)
	}
	if len(words) == 0 {
		return ""
	}
	return " " + remote.Quote(words...)
}

// hint proposes a command about the same spec, which talks to its hosts: in
// the lab, when this one runs there.
func (o *pairOptions) hint(s *spec.Spec, command, why string) view.Hint {
	line := program() + " " + command + o.flags()
	if inLab(s) {
		line = program() + " lab exec" + o.flags() + " -- " + line
	}
	return view.Hint{Command: line, Why: why}
}

// inLab reports whether `lab exec` started this process.
func inLab(s *spec.Spec) bool {
	config := os.Getenv(sshConfigVar)
	if config == "" || len(s.Pairs) != 1 {
		return false
	}
	l, err := lab.Open(labName(s.Pairs[0]))
	return err == nil && l.SSHConfig() == config
}
