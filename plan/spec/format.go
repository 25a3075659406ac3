package spec

import (
	_ "embed"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

//go:embed starter.hcl
var starter []byte

// Starter is the commented spec that "hapair init" writes: the smallest one
// that loads, and what else there is.
func Starter() []byte { return append([]byte(nil), starter...) }

// Format lays a spec file out in the one usual way. A file that does not parse
// is refused, because what it means is not known; name is for the diagnostics.
func Format(src []byte, name string) ([]byte, Diagnostics) {
	d := newDecoder()
	if d.parse(src, name) == nil {
		return nil, d.finish()
	}
	return hclwrite.Format(src), nil
}
