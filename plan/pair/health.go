package pair

// Level is how well a pair is. Its value is the exit code of `hapair status`,
// by the convention of monitoring systems.
type Level int

const (
	Healthy Level = iota
	Warning
	Critical
	Unknown
)

// Health is what to think of a State.
type Health struct {
	Level    Level
	Problems []Problem // the worst first
}

// Problem is one thing that is not as it should be.
type Problem struct {
	Level   Level
	Host    string // empty: the pair as a whole
	Summary string // what is so
	Hint    string // what to do now
}

// Assess judges a State.
func Assess(s State) Health { return Health{} }
