package spec

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is one variable block, and the value it ends up with.
type variable struct {
	name      string
	at        hcl.Range // of the block's header
	typ       cty.Type
	sensitive bool
	value     cty.Value // NilVal until it has one
}

// local is one local value. Locals may use each other, in any order.
type local struct {
	attr  *hclsyntax.Attribute
	state localState
	value cty.Value
}

type localState int

const (
	localWaiting localState = iota
	localBusy               // being evaluated: meeting it again is a cycle
	localDone
)

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	typeNames    = []string{"string", "number", "bool", "list(string)", "map(string)"}
)

func (d *decoder) declareVariables(blocks []*hclsyntax.Block) {
	for _, block := range blocks {
		s := d.open(block, schema{attrs: []string{"type", "default", "description", "sensitive"}, labels: []string{"name"}})
		if s == nil {
			continue
		}
		name := s.labels[0]
		if !variableName.MatchString(name) {
			d.errorAt(s.labelRange(0), "Invalid variable name", "A variable's name is made of letters, digits and underscores, and does not begin with a digit: as in HAPAIR_VAR_redis_password.")
			continue
		}
		if first := d.variables[name]; first != nil {
			d.errorAt(s.header, "Duplicate variable", "Variable %q stands already on %s line %d. Remove one of the two.", name, first.at.Filename, first.at.Start.Line)
			continue
		}
		v := &variable{name: name, at: s.header, typ: cty.String}
		d.variables[name] = v
		if attr := s.attrs["type"]; attr != nil {
			v.typ = d.variableType(attr.Expr)
		}
		v.sensitive, _ = s.boolean("sensitive")
		s.text("description")
		if attr := s.attrs["default"]; attr != nil {
			if used := attr.Expr.Variables(); len(used) > 0 {
				d.errorAt(used[0].SourceRange(), "Default that is not plain", "A default is a plain value or a function of plain values; a text stands in quotes. To combine variables, use a locals block.")
				v.value = cty.UnknownVal(v.typ)
				continue
			}
			val, ok := d.evaluate(attr.Expr)
			if !ok {
				v.value = cty.UnknownVal(v.typ)
				continue
			}
			if val.IsNull() {
				d.errorAt(attr.Expr.Range(), "No default", "null is no default. Leave default out: the variable then has to be given.")
				v.value = cty.UnknownVal(v.typ)
				continue
			}
			d.give(v, val, attr.Expr.Range().Ptr(), "the default")
		}
	}
}

// variableType reads a type, which is written like a value: list(string).
func (d *decoder) variableType(expr hcl.Expression) cty.Type {
	switch hcl.ExprAsKeyword(expr) {
	case "string":
		return cty.String
	case "number":
		return cty.Number
	case "bool":
		return cty.Bool
	}
	if call, diags := hcl.ExprCall(expr); !diags.HasErrors() && len(call.Arguments) == 1 && hcl.ExprAsKeyword(call.Arguments[0]) == "string" {
		switch call.Name {
		case "list":
			return cty.List(cty.String)
		case "map":
			return cty.Map(cty.String)
		}
	}
	d.errorAt(expr.Range(), "Unknown type", "A variable's type is one of %s, without quotes.", strings.Join(typeNames, ", "))
	return cty.DynamicPseudoType
}

// give sets a variable's value, converted to its type. Where the value comes
// from (at may be nil) is for the message when it does not fit.
func (d *decoder) give(v *variable, val cty.Value, at *hcl.Range, from string) {
	converted, err := convert.Convert(val, v.typ)
	if err != nil || converted.IsNull() || !converted.IsWhollyKnown() {
		what := shown(val)
		if v.sensitive {
			what = "the value"
		}
		d.diags = append(d.diags, &hcl.Diagnostic{
			Severity: hcl.DiagError,
			Summary:  "Wrong type for variable " + v.name,
			Detail:   fmt.Sprintf("The variable is a %s; %s from %s does not fit.", v.typ.FriendlyNameForConstraint(), what, from),
			Subject:  at,
		})
		v.value = cty.UnknownVal(v.typ)
		return
	}
	if v.sensitive {
		converted = converted.Mark(sensitiveMark)
	}
	v.value = converted
}

// assignVariables gives the values from outside: the environment, then the
// files, then the command line, a later one over an earlier one.
func (d *decoder) assignVariables(in Inputs) {
	declared := slices.Sorted(maps.Keys(d.variables))
	for _, name := range declared {
		// An environment is shared: a value there for another spec is no slip.
		if raw, ok := in.Env[EnvPrefix+name]; ok {
			d.giveText(d.variables[name], raw, EnvPrefix+name)
		}
	}
	for _, file := range in.VarFiles {
		d.assignFile(file, declared)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Vars)) {
		if v := d.variables[name]; v != nil {
			d.giveText(v, in.Vars[name], "--var "+name)
			continue
		}
		d.errorNowhere("Undeclared variable", "--var %s: the spec has no such variable.%s", name,
			didYouMean(name, declared, fmt.Sprintf("Declare it: variable %q {}.", name)))
	}
	for _, name := range declared {
		v := d.variables[name]
		if v.value != cty.NilVal {
			continue
		}
		v.value = cty.UnknownVal(v.typ)
		if d.lostFile {
			continue // it may be in there
		}
		ways := fmt.Sprintf("--var %s=…, a line %s = … in a file given with --var-file, the environment variable %s%s, or a default in this block", name, name, EnvPrefix, name)
		if v.sensitive {
			ways = fmt.Sprintf("the environment variable %s%s, or a line %s = … in a file given with --var-file (--var would show it in the process list)", EnvPrefix, name, name)
		}
		d.errorAt(v.at, "Variable without a value", "Variable %q has no default and was not given. Give it with %s.", name, ways)
	}
	d.contexts = map[string]*hcl.EvalContext{}
}

// giveText gives a value that is written outside of HCL: a text is itself,
// anything else is read as HCL.
func (d *decoder) giveText(v *variable, raw, from string) {
	val := cty.StringVal(raw)
	if v.typ.IsCollectionType() {
		expr, diags := hclsyntax.ParseExpression([]byte(raw), from, hcl.InitialPos)
		if !diags.HasErrors() {
			val, diags = expr.Value(nil)
		}
		if diags.HasErrors() {
			example := `["a", "b"]`
			if v.typ.IsMapType() {
				example = `{ a = "b" }`
			}
			d.errorNowhere("Wrong type for variable "+v.name, "%s: the variable is a %s, written like %s.", from, v.typ.FriendlyNameForConstraint(), example)
			v.value = cty.UnknownVal(v.typ)
			return
		}
	}
	d.give(v, val, nil, from)
}

func (d *decoder) assignFile(name string, declared []string) {
	src, err := os.ReadFile(name)
	if err != nil {
		reported := fileError("Cannot read the values of variables", name, err)
		d.errorNowhere(reported.Summary, "%s", reported.Detail)
		d.lostFile = true
		return
	}
	body := d.parse(src, name)
	if body == nil {
		d.lostFile = true
		return
	}
	for _, block := range body.Blocks {
		d.errorAt(block.TypeRange, "Block among values", "A file given with --var-file holds lines NAME = VALUE; blocks belong into the spec.")
	}
	for _, attr := range sortedAttributes(body) {
		v := d.variables[attr.Name]
		if v == nil {
			d.errorAt(attr.NameRange, "Undeclared variable", "The spec has no variable %q.%s", attr.Name,
				didYouMean(attr.Name, declared, fmt.Sprintf("Declare it: variable %q {}.", attr.Name)))
			continue
		}
		val, diags := attr.Expr.Value(nil)
		if diags.HasErrors() {
			d.errorAt(attr.Expr.Range(), "Not a plain value", "A file given with --var-file holds plain values, texts in quotes: no variables and no functions.")
			v.value = cty.UnknownVal(v.typ)
			continue
		}
		d.give(v, val, attr.Expr.Range().Ptr(), name)
	}
}

// evaluateLocals evaluates all locals blocks as one.
func (d *decoder) evaluateLocals(blocks []*hclsyntax.Block) {
	for _, block := range blocks {
		for _, inner := range block.Body.Blocks {
			d.errorAt(inner.TypeRange, "Block among local values", "A locals block holds lines NAME = VALUE.")
		}
		for _, attr := range sortedAttributes(block.Body) {
			if first := d.locals[attr.Name]; first != nil {
				at := first.attr.NameRange
				d.errorAt(attr.NameRange, "Duplicate local value", "local.%s is defined already on %s line %d.", attr.Name, at.Filename, at.Start.Line)
				continue
			}
			d.locals[attr.Name] = &local{attr: attr}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.locals)) {
		d.evaluateLocal(name)
	}
	d.contexts = map[string]*hcl.EvalContext{}
}

func (d *decoder) evaluateLocal(name string) {
	l := d.locals[name]
	if l == nil || l.state == localDone {
		return
	}
	if l.state == localBusy {
		d.errorAt(l.attr.NameRange, "Circular local value", "local.%s depends on itself. Break the circle with a plain value.", name)
		l.state, l.value = localDone, cty.DynamicVal
		return
	}
	l.state = localBusy
	for _, traversal := range l.attr.Expr.Variables() {
		if len(traversal) > 1 && traversal.RootName() == "local" {
			if step, ok := traversal[1].(hcl.TraverseAttr); ok {
				d.evaluateLocal(step.Name)
			}
		}
	}
	if l.state == localDone {
		return
	}
	d.contexts = map[string]*hcl.EvalContext{}
	val, ok := d.evaluate(l.attr.Expr)
	if !ok {
		val = cty.DynamicVal
	}
	l.state, l.value = localDone, val
}

func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	attrs := slices.Collect(maps.Values(body.Attributes))
	slices.SortFunc(attrs, func(a, b *hclsyntax.Attribute) int {
		return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte
	})
	return attrs
}
