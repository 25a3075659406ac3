// Package facts knows what a host is like: it asks with one read-only command
// and leaves nothing behind. It does not know what a host should be like; the
// Query says what to look at.
package facts

import "strings"

// Ref names a host: the pair and the host's name in it.
type Ref struct{ Pair, Host string }

// String is "PAIR/HOST".
func (r Ref) String() string { return r.Pair + "/" + r.Host }

// MarshalText writes the reference as String does.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *Ref) UnmarshalText(text []byte) error {
	r.Pair, r.Host, _ = strings.Cut(string(text), "/")
	return nil
}

// ByHost is what was seen on every host of a spec.
type ByHost map[Ref]*Host

// Host is what one host is like.
type Host struct {
}
