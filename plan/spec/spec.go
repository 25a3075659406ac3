// Package spec is the language: it reads HCL files, says what is wrong with
// them, and hands out a Spec in which every default is filled in. It is the
// only importer of hcl and cty, and it knows no hosts: what only a host can
// tell (the interface of an address, the version behind a package) stays open
// here and is checked by whoever has the facts.
//
// Reading has two stages. Variables and locals come first, then the pairs, in
// which var.NAME and local.NAME are known. A sensitive value carries a mark
// through every expression; it ends in a Secret or in a diagnostic, and no
// diagnostic ever shows it.
package spec

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// DefaultFile is read when no file is named.
const DefaultFile = "hapair.hcl"

// EnvPrefix begins the environment variables that give values to variables.
const EnvPrefix = "HAPAIR_VAR_"

// Inputs are the values for a spec's variables. What is named later here wins
// over what is named earlier: Env, VarFiles (the last file first), Vars.
type Inputs struct {
	Vars     map[string]string // --var NAME=VALUE
	VarFiles []string          // --var-file: HCL files of NAME = VALUE
	Env      map[string]string // the environment; only HAPAIR_VAR_NAME is looked at
}

// Files are the spec files that Load read, in order.
type Files struct {
	names   []string
	sources map[string][]byte
}

// Names are the paths of the files, in the order in which they were read.
func (f *Files) Names() []string { return slices.Clone(f.names) }

// Source is what stands in the named file; nil when it was not read.
func (f *Files) Source(name string) []byte { return f.sources[name] }

// Load reads the spec in the given files and folders (of a folder every *.hcl
// in it; without paths DefaultFile) with the given values for its variables.
//
// The Spec is nil when the diagnostics have an error. Relative paths in a file
// mean its folder; in the Spec they are absolute.
func Load(paths []string, in Inputs) (*Spec, *Files, Diagnostics) {
	names, diags := Find(paths)
	files := &Files{sources: map[string][]byte{}}
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			diags = append(diags, fileError("Cannot read the spec", name, err))
			continue
		}
		files.names = append(files.names, name)
		files.sources[name] = src
	}
	if diags.HasErrors() {
		return nil, files, diags
	}
	spec, diags := load(files, in)
	return spec, files, diags
}

// Find lists the spec files that the given paths mean: a file itself, of a
// folder every *.hcl in it, without paths DefaultFile.
func Find(paths []string) ([]string, Diagnostics) {
	if len(paths) == 0 {
		if _, err := os.Stat(DefaultFile); err != nil {
			return nil, Diagnostics{{
				Severity: Error,
				Summary:  "No spec",
				Detail:   "There is no " + DefaultFile + " in this folder. Write one with \"hapair init\", or name a file or folder with -f.",
			}}
		}
		paths = []string{DefaultFile}
	}
	var names []string
	var diags Diagnostics
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			diags = append(diags, fileError("Cannot read the spec", path, err))
		case info.IsDir():
			found, err := filepath.Glob(filepath.Join(escapeGlob(path), "*.hcl"))
			if err != nil || len(found) == 0 {
				diags = append(diags, Diagnostic{
					Severity: Error,
					Summary:  "No spec in this folder",
					Detail:   fmt.Sprintf("The folder %s holds no file that ends in .hcl. Name the spec's file itself, or its folder.", path),
				})
			}
			names = append(names, found...)
		default:
			names = append(names, filepath.Clean(path))
		}
	}
	seen := map[string]bool{}
	names = slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
	return names, diags
}

// escapeGlob makes filepath.Glob take a folder's name literally.
func escapeGlob(folder string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(folder)
}

func fileError(summary, name string, err error) Diagnostic {
	reason := err.Error()
	if pathErr, ok := err.(*fs.PathError); ok {
		reason = pathErr.Err.Error()
	}
	return Diagnostic{Severity: Error, Summary: summary, Detail: fmt.Sprintf("%s: %s.", name, reason)}
}

// load is Load without the reading.
func load(files *Files, in Inputs) (*Spec, Diagnostics) {
	d := newDecoder()
	var top []*hclsyntax.Body
	for _, name := range files.names {
		if body := d.parse(files.sources[name], name); body != nil {
			top = append(top, body)
		}
	}
	// A file that does not parse lacks blocks, and what follows from that
	// would be noise.
	if d.diags.HasErrors() {
		return nil, d.finish()
	}

	blocks := d.topLevel(top)
	d.declareVariables(blocks["variable"])
	d.assignVariables(in)
	d.evaluateLocals(blocks["locals"])
	spec := d.decodePairs(blocks["pair"])
	diags := d.finish()
	if diags.HasErrors() {
		return nil, diags
	}
	return spec, diags
}

// parse reads one file. It keeps the source for the diagnostics' snippets,
// with what may be a secret masked.
func (d *decoder) parse(src []byte, name string) *hclsyntax.Body {
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	d.report(withoutEchoes(diags))
	body, _ := file.Body.(*hclsyntax.Body)
	d.sources[name] = &source{order: len(d.sources), nav: file.Nav, lines: maskedLines(src, name, d.isSecretName, body)}
	if diags.HasErrors() {
		return nil
	}
	return body
}

// withoutEchoes keeps one diagnostic of those that a missing quote causes: HCL
// reports each line up to the end of the file.
func withoutEchoes(diags hcl.Diagnostics) hcl.Diagnostics {
	unclosed := slices.IndexFunc(diags, func(diag *hcl.Diagnostic) bool { return diag.Summary == "Invalid multi-line string" })
	if unclosed < 0 {
		return diags
	}
	first := *diags[unclosed]
	first.Summary = "Missing quote"
	first.Detail = "The text on this line has no closing quote. A text ends on the line on which it begins; a longer one is written between <<EOT and EOT."
	first.Context = nil
	return hcl.Diagnostics{&first}
}

// topLevel sorts the blocks of all files by their type.
func (d *decoder) topLevel(bodies []*hclsyntax.Body) map[string][]*hclsyntax.Block {
	known := []string{"variable", "locals", "pair"}
	blocks := map[string][]*hclsyntax.Block{}
	for _, body := range bodies {
		for _, attr := range body.Attributes {
			d.errorAt(attr.NameRange, "Argument outside of a block",
				"Only blocks stand here: variable, locals and pair. Values for variables go on the command line (--var %s=…) or into a file given with --var-file.", attr.Name)
		}
		for _, block := range body.Blocks {
			if !slices.Contains(known, block.Type) {
				d.errorAt(block.TypeRange, "Unsupported block type",
					"Blocks of type %q are not expected here.%s", block.Type, didYouMean(block.Type, known, "Here stand variable, locals and pair."))
				continue
			}
			blocks[block.Type] = append(blocks[block.Type], block)
		}
	}
	return blocks
}
