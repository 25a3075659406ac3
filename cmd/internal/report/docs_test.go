package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hapair/plan/drill"
)

const docs = "../../../docs/report.md"

// documented is the page, whole and by its headings of the third level.
func documented(t *testing.T) (whole string, sections map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	sections = map[string]string{}
	for _, part := range strings.Split(string(raw), "\n### ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		sections[name] = text
	}
	return string(raw), sections
}

// Every field of report.json is described, with its unit, and no other is.
func TestEveryFieldIsDocumented(t *testing.T) {
	_, sections := documented(t)
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ?(.*?) ?\\|(.*)\\|$")
	types := map[reflect.Type]bool{}
	collect(reflect.TypeFor[Report](), types)
	names := map[string]bool{}
	for typ := range types {
		name, _, _ := strings.Cut(typ.Name(), "[")
		if names[name] {
			continue // a generic type is described once
		}
		names[name] = true
		described := map[string]string{}
		for _, m := range row.FindAllStringSubmatch(sections[name], -1) {
			described[m[1]] = m[2]
		}
		for i := range typ.NumField() {
			field, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if field == "-" || !typ.Field(i).IsExported() {
				continue
			}
			what, ok := described[field]
			delete(described, field)
			if !ok {
				t.Errorf("%s: %s has no row for `%s`", docs, name, field)
				continue
			}
			if optional := options == "omitempty"; optional != strings.Contains(what, "optional") {
				t.Errorf("%s: `%s` of %s: optional is %v", docs, field, name, optional)
			}
			if isMillis := typ.Field(i).Type == reflect.TypeFor[drill.Millis](); name != "Spread" && (isMillis != strings.HasPrefix(what, "ms") || isMillis && !strings.HasSuffix(field, "_ms")) {
				t.Errorf("%s: `%s` of %s is in ms: %v", docs, field, name, isMillis)
			}
		}
		for field := range described {
			t.Errorf("%s: %s has no field `%s`", docs, name, field)
		}
	}
	for name := range sections {
		if !names[name] {
			t.Errorf("%s describes %s, which is not in a report", docs, name)
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d types were found", len(names))
	}
}

// collect gathers the structs that JSON shows of a type.
func collect(typ reflect.Type, into map[reflect.Type]bool) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		collect(typ.Elem(), into)
	case reflect.Struct:
		if into[typ] || typ == reflect.TypeFor[time.Time]() {
			return
		}
		into[typ] = true
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				collect(f.Type, into)
			}
		}
	}
}

// Every value that a program may meet in an enumeration is named.
func TestEveryValueIsDocumented(t *testing.T) {
	page, _ := documented(t)
	found := map[string]int{"Verdict": 0, "EventType": 0, "Client": 0}
	files, err := filepath.Glob("../../../plan/drill/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			typ, ok := spec.Type.(*ast.Ident)
			literal, isLiteral := spec.Values[0].(*ast.BasicLit)
			if _, wanted := found[ident(typ)]; !ok || !isLiteral || !wanted {
				return true
			}
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[typ.Name]++
			if !strings.Contains(page, "`"+value+"`") {
				t.Errorf("%s does not name the %s `%s`", docs, typ.Name, value)
			}
			return true
		})
	}
	for name, n := range found {
		if n < 2 {
			t.Errorf("%d values of %s were found", n, name)
		}
	}
}

func ident(i *ast.Ident) string {
	if i == nil {
		return ""
	}
	return i.Name
}
