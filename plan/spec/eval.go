package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// mark is what a value carries through every expression that uses it.
type mark string

const (
	// sensitiveMark: the value of a sensitive variable. It may end in a Secret
	// and nowhere else.
	sensitiveMark mark = "sensitive"
	// fileMark: what file() read. It may be a secret, so nothing shows it, but
	// it may end anywhere.
	fileMark mark = "file"
)

// decoder turns parsed files into a Spec and collects what is wrong.
type decoder struct {
	diags     hcl.Diagnostics
	sources   map[string]*source
	variables map[string]*variable
	locals    map[string]*local
	contexts  map[string]*hcl.EvalContext // by folder, see context
	sawHoles  bool                        // an unknown value was used: its reason is reported elsewhere
	lostFile  bool                        // a file of values could not be read
}

func newDecoder() *decoder {
	return &decoder{
		sources:   map[string]*source{},
		variables: map[string]*variable{},
		locals:    map[string]*local{},
		contexts:  map[string]*hcl.EvalContext{},
	}
}

func (d *decoder) report(diags hcl.Diagnostics) {
	for _, diag := range diags {
		if diag.Expression != nil && revealing(diag.Expression, diag.EvalContext) {
			diag.Detail = "The value is sensitive, so the reason is not shown."
			diag.Expression = nil
		}
		if diag.Summary == "Call to unknown function" {
			diag.Detail += " The functions are " + strings.Join(slices.Sorted(maps.Keys(functions)), ", ") +
				" and file. There is none for the environment, the time or chance: a plan depends on the spec, its variables and the hosts alone."
		}
		d.diags = append(d.diags, diag)
	}
}

func (d *decoder) errorAt(at hcl.Range, summary, detail string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at,
	})
}

func (d *decoder) warnAt(at hcl.Range, summary, detail string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{
		Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at,
	})
}

// errorNowhere reports what is about no place in a file.
func (d *decoder) errorNowhere(summary, detail string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...),
	})
}

// evaluate is the value of an expression, false when it has none; why is
// reported then.
func (d *decoder) evaluate(expr hcl.Expression) (cty.Value, bool) {
	if !d.resolves(expr) {
		return cty.NilVal, false
	}
	val, diags := expr.Value(d.context(expr.Range().Filename))
	d.report(diags)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	if !val.IsWhollyKnown() {
		d.sawHoles = true
		return cty.NilVal, false
	}
	return val, true
}

// resolves checks the names in an expression, which HCL itself would report
// without a suggestion.
func (d *decoder) resolves(expr hcl.Expression) bool {
	ok := true
	for _, traversal := range expr.Variables() {
		root := traversal.RootName()
		if root != "var" && root != "local" {
			ok = false
			d.errorAt(traversal.SourceRange(), "Unknown name",
				"A text stands in quotes; a variable is var.NAME, a local value local.NAME.")
			continue
		}
		if len(traversal) < 2 {
			continue
		}
		step, isAttr := traversal[1].(hcl.TraverseAttr)
		if !isAttr {
			continue
		}
		if root == "var" && d.variables[step.Name] == nil {
			ok = false
			d.errorAt(traversal.SourceRange(), "Undeclared variable", "There is no variable %q.%s", step.Name,
				didYouMean(step.Name, slices.Sorted(maps.Keys(d.variables)), fmt.Sprintf("Declare it: variable %q {}.", step.Name)))
		}
		if root == "local" && d.locals[step.Name] == nil {
			ok = false
			d.errorAt(traversal.SourceRange(), "Undeclared local value", "There is no local value %q.%s", step.Name,
				didYouMean(step.Name, slices.Sorted(maps.Keys(d.locals)), "Define it in a locals block."))
		}
	}
	return ok
}

// context is what expressions in this file can use. It differs by folder,
// because file() is relative to the spec file.
func (d *decoder) context(filename string) *hcl.EvalContext {
	folder := filepath.Dir(filename)
	if ctx := d.contexts[folder]; ctx != nil {
		return ctx
	}
	funcs := maps.Clone(functions)
	funcs["file"] = fileFunc(folder)
	vars, locals := map[string]cty.Value{}, map[string]cty.Value{}
	for name, v := range d.variables {
		if v.value != cty.NilVal {
			vars[name] = v.value
		}
	}
	for name, l := range d.locals {
		if l.state == localDone {
			locals[name] = l.value
		}
	}
	ctx := &hcl.EvalContext{
		Functions: funcs,
		Variables: map[string]cty.Value{"var": cty.ObjectVal(vars), "local": cty.ObjectVal(locals)},
	}
	d.contexts[folder] = ctx
	return ctx
}

// functions are what expressions can call besides file: pure, every one.
var functions = map[string]function.Function{
	"coalesce":  stdlib.CoalesceFunc,
	"concat":    stdlib.ConcatFunc,
	"contains":  stdlib.ContainsFunc,
	"distinct":  stdlib.DistinctFunc,
	"flatten":   stdlib.FlattenFunc,
	"format":    stdlib.FormatFunc,
	"join":      stdlib.JoinFunc,
	"keys":      stdlib.KeysFunc,
	"length":    stdlib.LengthFunc,
	"lookup":    stdlib.LookupFunc,
	"lower":     stdlib.LowerFunc,
	"max":       stdlib.MaxFunc,
	"merge":     stdlib.MergeFunc,
	"min":       stdlib.MinFunc,
	"replace":   stdlib.ReplaceFunc,
	"split":     stdlib.SplitFunc,
	"substr":    stdlib.SubstrFunc,
	"tonumber":  stdlib.MakeToFunc(cty.Number),
	"tostring":  stdlib.MakeToFunc(cty.String),
	"trimspace": stdlib.TrimSpaceFunc,
	"upper":     stdlib.UpperFunc,
	"values":    stdlib.ValuesFunc,
}

// maxFile is the largest file that file() reads, in bytes: secrets and
// checksums are small, and a slip must not fill the memory.
const maxFile = 1 << 20

// fileFunc is file(path): the text of a file beside the spec.
func fileFunc(folder string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(folder, path)
			}
			text, err := readText(path)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("there is no file %s", path)
			}
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(text).Mark(fileMark), nil
		},
	})
}

func readText(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a plain file", path)
	case info.Size() > maxFile:
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(text), err
}

// revealing reports whether a message about this expression could show what
// is to stay unseen: a marked value, or what a file holds.
func revealing(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	if ctx != nil {
		for _, traversal := range expr.Variables() {
			if val, diags := traversal.TraverseAbs(ctx); !diags.HasErrors() && val.ContainsMarked() {
				return true
			}
		}
	}
	return callsFile(expr)
}

// callsFile reports whether the expression, or one in it, is a call of file().
func callsFile(expr hcl.Expression) bool {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return false
	}
	found := false
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		call, isCall := n.(*hclsyntax.FunctionCallExpr)
		found = found || isCall && call.Name == "file"
		return nil
	})
	return found
}

// visibleValues are the values of an expression's variables, as people read
// them: plain ones only, and none that is marked.
func visibleValues(expr hcl.Expression, ctx *hcl.EvalContext) []string {
	var out []string
	for _, traversal := range expr.Variables() {
		val, diags := traversal.TraverseAbs(ctx)
		if diags.HasErrors() || val.IsMarked() || !val.IsKnown() || val.IsNull() || !val.Type().IsPrimitiveType() {
			continue
		}
		text := fmt.Sprintf("%s is %s", traversalText(traversal), shown(val))
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}

func traversalText(traversal hcl.Traversal) string {
	var b strings.Builder
	for _, step := range traversal {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			b.WriteString("[" + shown(step.Key) + "]")
		}
	}
	return b.String()
}

// shown is a value as people would write it; "the value" when it is marked or
// not plain.
func shown(val cty.Value) string {
	if val.IsMarked() || val.IsNull() || !val.IsKnown() {
		return "the value"
	}
	switch val.Type() {
	case cty.String:
		return fmt.Sprintf("%q", val.AsString())
	case cty.Number:
		return numberText(val.AsBigFloat())
	case cty.Bool:
		return fmt.Sprint(val.True())
	}
	return "the value"
}

func numberText(n *big.Float) string {
	if n.IsInt() {
		return n.Text('f', 0)
	}
	return n.Text('g', 10)
}
