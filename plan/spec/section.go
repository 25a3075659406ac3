package spec

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// schema is what may stand in a block.
type schema struct {
	attrs  []string
	blocks []string
	labels []string // what each label is, for messages
}

// section is a block that was checked against its schema, with a getter for
// each kind of argument. A getter reports what is wrong and returns false; it
// also returns false, and reports nothing, for an argument that is not there.
// The zero section with a decoder and a header is a block that is not there.
type section struct {
	d      *decoder
	kind   string // "redis"
	labels []string
	block  *hclsyntax.Block // nil when absent
	header hcl.Range        // where a missing argument is reported
	attrs  map[string]*hclsyntax.Attribute
	blocks map[string][]*hclsyntax.Block
}

// open checks a block's labels and reports what is not in its schema. It is nil
// when the labels are wrong.
func (d *decoder) open(block *hclsyntax.Block, known schema) *section {
	s := &section{
		d: d, kind: block.Type, labels: block.Labels, block: block, header: block.DefRange(),
		attrs: map[string]*hclsyntax.Attribute{}, blocks: map[string][]*hclsyntax.Block{},
	}
	switch {
	case len(block.Labels) > len(known.labels):
		d.errorAt(block.LabelRanges[len(known.labels)], "Unexpected label", "Write %s.", headerForm(block.Type, known.labels))
		return nil
	case len(block.Labels) < len(known.labels):
		d.errorAt(s.header, "Missing label", "Write %s.", headerForm(block.Type, known.labels))
		return nil
	}
	takes := func() string {
		all := slices.Concat(known.attrs, known.blocks)
		all = slices.DeleteFunc(all, func(name string) bool { return slices.Contains(later, name) })
		if len(all) > 0 {
			return fmt.Sprintf("A %s block takes %s.", block.Type, strings.Join(all, ", "))
		}
		return fmt.Sprintf("A %s block takes nothing.", block.Type)
	}
	for name, attr := range block.Body.Attributes {
		switch {
		case slices.Contains(known.attrs, name):
			s.attrs[name] = attr
		case slices.Contains(known.blocks, name):
			d.errorAt(attr.NameRange, "Block written as an argument", "%s is a block: write it without the equals sign, %s { … }.", name, name)
		default:
			d.errorAt(attr.NameRange, "Unsupported argument", "An argument named %q is not expected here.%s", name, didYouMean(name, known.attrs, takes()))
		}
	}
	for _, inner := range block.Body.Blocks {
		switch {
		case slices.Contains(known.blocks, inner.Type):
			s.blocks[inner.Type] = append(s.blocks[inner.Type], inner)
		case slices.Contains(known.attrs, inner.Type):
			d.errorAt(inner.TypeRange, "Argument written as a block", "%s is an argument: write it with an equals sign, %s = ….", inner.Type, inner.Type)
		default:
			d.errorAt(inner.TypeRange, "Unsupported block type", "Blocks of type %q are not expected here.%s", inner.Type, didYouMean(inner.Type, known.blocks, takes()))
		}
	}
	return s
}

func headerForm(kind string, labels []string) string {
	for _, label := range labels {
		kind += fmt.Sprintf(" %q", strings.ToUpper(label))
	}
	return kind + " { … }"
}

// child is the one block of this kind in s, or an absent one.
func (s *section) child(kind string, known schema) *section {
	absent := &section{d: s.d, kind: kind, header: s.header}
	found := s.blocks[kind]
	if len(found) == 0 {
		return absent
	}
	for _, again := range found[1:] {
		s.d.errorAt(again.DefRange(), "Duplicate block", "There is a %s block already on line %d; a %s has one. Merge the two.", kind, found[0].DefRange().Start.Line, s.kind)
	}
	if opened := s.d.open(found[0], known); opened != nil {
		return opened
	}
	return absent
}

// children are all blocks of this kind in s.
func (s *section) children(kind string, known schema) []*section {
	var all []*section
	for _, block := range s.blocks[kind] {
		if opened := s.d.open(block, known); opened != nil {
			all = append(all, opened)
		}
	}
	return all
}

// present reports whether the block is there; has, whether an argument is.
func (s *section) present() bool        { return s.block != nil }
func (s *section) has(name string) bool { return s.attrs[name] != nil }

// at is where a message about the argument points: its value, or else the
// block's header.
func (s *section) at(name string) hcl.Range {
	if attr := s.attrs[name]; attr != nil {
		return attr.Expr.Range()
	}
	return s.header
}

// elementAt is at for one element of a list.
func (s *section) elementAt(name string, i int) hcl.Range {
	if attr := s.attrs[name]; attr != nil {
		if elements, diags := hcl.ExprList(attr.Expr); !diags.HasErrors() && i < len(elements) {
			return elements[i].Range()
		}
	}
	return s.at(name)
}

func (s *section) labelRange(i int) hcl.Range {
	if s.block != nil && i < len(s.block.LabelRanges) {
		return s.block.LabelRanges[i]
	}
	return s.header
}

// value is an argument's value without marks; hidden says that nothing may
// show it.
type value struct {
	cty.Value
	hidden bool
}

func (v value) String() string {
	if v.hidden {
		return "the value"
	}
	return shown(v.Value)
}

// get is an argument's value. Where it may not be secret, a sensitive one is
// an error: it would stand in plans, on hosts and in messages.
func (s *section) get(name string) (value, bool) {
	attr := s.attrs[name]
	if attr == nil {
		return value{}, false
	}
	raw, ok := s.d.evaluate(attr.Expr)
	if !ok || raw.IsNull() {
		return value{}, false
	}
	plain, marks := raw.UnmarkDeep()
	if _, secret := marks[sensitiveMark]; secret {
		s.d.errorAt(attr.Expr.Range(), "Sensitive value in a plain place",
			"Plans and files show %s, so a sensitive variable cannot be used here. Use one that is not sensitive.", name)
		return value{}, false
	}
	return value{plain, len(marks) > 0}, true
}

// text is an argument that is a string, in quotes: 7.0 without them would
// become 7.
func (s *section) text(name string) (string, bool) {
	v, ok := s.get(name)
	if !ok {
		return "", false
	}
	if v.Type() != cty.String {
		proposed := "…"
		if _, plain := s.attrs[name].Expr.(*hclsyntax.LiteralValueExpr); plain {
			proposed = s.d.written(s.at(name))
		}
		s.d.errorAt(s.at(name), "Not a text", "%s is a text, in quotes: %s = \"%s\".", name, name, proposed)
		return "", false
	}
	return v.AsString(), true
}

// word is a text that must match; rule says how.
func (s *section) word(name string, matches func(string) bool, summary, rule string) (string, bool) {
	text, ok := s.text(name)
	if !ok {
		return "", false
	}
	if !matches(text) {
		s.d.errorAt(s.at(name), summary, "%s", rule)
		return "", false
	}
	return text, true
}

// oneOf is a text out of a few.
func (s *section) oneOf(name string, words ...string) (string, bool) {
	return s.choice(name, strings.ReplaceAll(name, "_", " "), words)
}

// choice is oneOf where the argument's name does not say what it is.
func (s *section) choice(name, what string, words []string) (string, bool) {
	text, ok := s.text(name)
	if !ok {
		return "", false
	}
	if !slices.Contains(words, text) {
		choice := "one of "
		if len(words) == 1 {
			choice = ""
		}
		s.d.errorAt(s.at(name), "Unknown "+what, "%s is %s%s.%s", name, choice, quotedList(words), didYouMean(text, words, ""))
		return "", false
	}
	return text, true
}

func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(quoted, ", ")
}

// boolean is true or false.
func (s *section) boolean(name string) (yes, ok bool) {
	v, ok := s.get(name)
	if !ok {
		return false, false
	}
	b, err := convert.Convert(v.Value, cty.Bool)
	if err != nil {
		s.d.errorAt(s.at(name), "Not true or false", "%s is true or false, without quotes.", name)
		return false, false
	}
	return b.True(), true
}

// integer is a whole number from low to high; why says where the limits come
// from.
func (s *section) integer(name string, low, high int, why string) (int, bool) {
	v, ok := s.get(name)
	if !ok {
		return 0, false
	}
	n, err := convert.Convert(v.Value, cty.Number)
	if err != nil {
		s.d.errorAt(s.at(name), "Not a number", "%s is a number from %d to %d, without quotes.", name, low, high)
		return 0, false
	}
	f, _ := n.AsBigFloat().Float64()
	if f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		s.d.errorAt(s.at(name), strings.ToUpper(name[:1])+strings.ReplaceAll(name[1:], "_", " ")+" out of range",
			"%s is a whole number from %d to %d%s.", name, low, high, why)
		return 0, false
	}
	return int(f), true
}

// duration is a text with a unit, from low to high; why says where the limits
// come from.
func (s *section) duration(name string, low, high time.Duration, why string) (time.Duration, bool) {
	v, ok := s.get(name)
	if !ok {
		return 0, false
	}
	const example = `"200ms", "10s", "5m"`
	if v.Type() == cty.Number {
		s.d.errorAt(s.at(name), "Duration without a unit", "Write %s with a unit, in quotes: %s. Seconds would be \"%ss\".", name, example, v)
		return 0, false
	}
	if v.Type() != cty.String {
		s.d.errorAt(s.at(name), "Not a duration", "%s is a duration with a unit, in quotes: %s.", name, example)
		return 0, false
	}
	text := strings.ReplaceAll(v.AsString(), " ", "")
	length, err := time.ParseDuration(text)
	switch {
	case err != nil && strings.Trim(text, "0123456789.") == "" && text != "":
		s.d.errorAt(s.at(name), "Duration without a unit", "Write %s with a unit: %s.", name, example)
		return 0, false
	case err != nil:
		s.d.errorAt(s.at(name), "Not a duration", "%s is a number with one of the units ms, s, m, h: %s.", name, example)
		return 0, false
	case length < low || length > high:
		s.d.errorAt(s.at(name), strings.ToUpper(name[:1])+strings.ReplaceAll(name[1:], "_", " ")+" out of range",
			"%s is from %s to %s%s.", name, durationText(low), durationText(high), why)
		return 0, false
	}
	return length, true
}

// durationText is a duration as a spec would have it: 5m, not 5m0s; 255s, not
// 4m15s.
func durationText(d time.Duration) string {
	if d > time.Minute && d < time.Hour && d%time.Minute != 0 && d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// texts is a list of texts.
func (s *section) texts(name string) []string {
	v, ok := s.get(name)
	if !ok {
		return nil
	}
	ty := v.Type()
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		s.d.errorAt(s.at(name), "Not a list", "%s is a list of texts: %s = [%s].", name, name, v)
		return nil
	}
	var all []string
	for i, element := range v.AsValueSlice() {
		if element.IsNull() || element.Type() != cty.String {
			s.d.errorAt(s.elementAt(name, i), "Not a text", "%s is a list of texts, each in quotes.", name)
			return nil
		}
		all = append(all, element.AsString())
	}
	return all
}

// secret is an argument that nobody is to see. A literal one, or one from a
// variable that is not sensitive, is a warning, as the file itself then tells
// it; where there is no excuse (strict), an error.
func (s *section) secret(name string, strict bool) (Secret, bool) {
	attr := s.attrs[name]
	if attr == nil {
		return Secret{}, false
	}
	raw, ok := s.d.evaluate(attr.Expr)
	if !ok || raw.IsNull() {
		return Secret{}, false
	}
	plain, marks := raw.UnmarkDeep()
	if plain.Type() != cty.String {
		s.d.errorAt(attr.Expr.Range(), "Not a text", "%s is a text.", name)
		return Secret{}, false
	}
	text := plain.AsString()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		s.d.errorAt(attr.Expr.Range(), "Control character in a password",
			"%s holds a line break or another control character. A file often ends in one: trimspace(file(\"…\")) leaves it out.", name)
		return Secret{}, false
	}
	if len(marks) == 0 && text != "" {
		say := s.d.warnAt
		if strict {
			say = s.d.errorAt
		}
		if used := attr.Expr.Variables(); len(used) > 0 {
			say(attr.Expr.Range(), "Password in a variable that is not sensitive",
				"Messages may show its value. Write sensitive = true into the variable's block.")
		} else {
			say(attr.Expr.Range(), "Password in the spec",
				"Whoever reads the file has it. Declare a variable with sensitive = true and write %s = var.NAME.", name)
		}
	}
	return NewSecret(text), true
}

// require reports an argument that is missing.
func (s *section) require(name, example string) {
	if !s.has(name) {
		s.d.errorAt(s.header, "Missing "+name, "This %s block needs %s = %s.", s.kind, name, example)
	}
}
