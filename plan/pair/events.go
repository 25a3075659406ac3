package pair

// Events hears what is being done to a pair, as it is done. Calls for one host
// come in order; both hosts' may be under way at once, from two goroutines.
type Events interface {
	// Step is a step that begins: "start Redis", on host. It ends with Done.
	Step(host, what string) Step
}

// Step is one step under way.
type Step interface {
	// Progress is what the step sees while it waits: "loading, 40 MB".
	Progress(seen string)
	// Done ends the step. Without an error, result says what has come of it:
	// "primary, VIP 192.168.1.220", or "already running".
	Done(result string, err error)
}

// Quiet is an Events that says nothing; embed it to hear a part.
type Quiet struct{}

func (Quiet) Step(host, what string) Step { return quietStep{} }

type quietStep struct{}

func (quietStep) Progress(string)    {}
func (quietStep) Done(string, error) {}
