package templates

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is an upstream version, "7.0.15". Missing parts are 0.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads "7", "2.8" or "7.0.15"; what follows a '-', '+' or '~'
// (a distribution's revision) is ignored, and so is an epoch before a ':'.
func ParseVersion(s string) (Version, error) {
	text := s
	if _, after, ok := strings.Cut(text, ":"); ok {
		text = after
	}
	if i := strings.IndexAny(text, "-+~"); i >= 0 {
		text = text[:i]
	}
	var v Version
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	if len(parts) > 3 {
		return Version{}, fmt.Errorf("parse version %q: more than three numbers", s)
	}
	for i, into := range []*int{&v.Major, &v.Minor, &v.Patch} {
		if i >= len(parts) {
			break
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("parse version %q: %q is not a number", s, parts[i])
		}
		*into = n
	}
	return v, nil
}

// AtLeast reports whether v is the given version or a later one.
func (v Version) AtLeast(major, minor, patch int) bool {
	return !v.Less(Version{major, minor, patch})
}

// Less reports whether v came before w.
func (v Version) Less(w Version) bool {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch)) < 0
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }
