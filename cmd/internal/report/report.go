// Package report is how drill results look as files: report.json for programs,
// junit.xml for pipelines, report.html for people. It takes the results and
// works out nothing that they do not say but layout; where hosts and pairs are
// it does not know.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"hapair/plan/drill"
)

// Format is the version of report.json, whose fields docs/report.md describes.
// Minor versions add, major ones break.
const Format = "1.0"

// Report is drill runs of one pair, in the order in which they were run.
type Report struct {
	Format    string          `json:"format"`
	Hapair    string          `json:"hapair"` // its version
	Pair      string          `json:"pair"`
	Started   time.Time       `json:"started"`
	Took      drill.Millis    `json:"took_ms"`
	Verdict   drill.Verdict   `json:"verdict"` // on all: the gravest
	ExitCode  int             `json:"exit_code"`
	Summaries []drill.Summary `json:"summaries"` // one per drill
	Results   []*drill.Result `json:"results"`   // one per run
}

// New is the report of results, of which there is at least one. hapair is the
// version of it that made them.
func New(hapair string, results []*drill.Result) *Report {
	first, last := results[0], results[len(results)-1]
	return &Report{
		Format: Format, Hapair: hapair, Pair: first.Pair,
		Started: first.Started, Took: drill.Millis(last.Started.Sub(first.Started)) + last.Took,
		Verdict: drill.Gravest(results), ExitCode: drill.ExitCode(results),
		Summaries: drill.Summaries(results), Results: results,
	}
}

// The files of a report.
const (
	JSONName  = "report.json"
	JUnitName = "junit.xml"
	HTMLName  = "report.html"
)

// writers are the files in the order in which they are written.
var writers = []struct {
	name  string
	write func(*Report, io.Writer) error
}{
	{JSONName, (*Report).writeJSON},
	{JUnitName, (*Report).writeJUnit},
	{HTMLName, (*Report).writeHTML},
}

// Prepare makes dir, if it is not there, and sees that files can be put into
// it: better known before a drill than after it.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the report: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".report-")
	if err != nil {
		return fmt.Errorf("write to the folder of the report: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Write puts the three files into dir, which it makes if it is not there, and
// returns their paths. Each is there whole or not at all, and none takes the
// place of an earlier one before all of them are on the disk.
func (r *Report) Write(dir string) (paths []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the report: %w", err)
	}
	var temporary []string
	defer func() {
		for _, path := range temporary {
			os.Remove(path) // those that have been renamed are gone already
		}
	}()
	for _, w := range writers {
		path := filepath.Join(dir, w.name)
		var content bytes.Buffer
		if err := w.write(r, &content); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		temp, err := os.CreateTemp(dir, "."+w.name+"-")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		temporary, paths = append(temporary, temp.Name()), append(paths, path)
		_, err = temp.Write(content.Bytes())
		if err := errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	for i, path := range paths {
		if err := os.Rename(temporary[i], path); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return paths, nil
}

func (r *Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(r)
}
