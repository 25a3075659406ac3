package view

import (
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
)

// grid is a table with a header. On a terminal it gets a border and leaves out
// columns, those that are empty and then others until it fits; elsewhere it is
// plain aligned rows with all of them.
type grid struct {
	columns []column
	rows    [][]cell
}

type column struct {
	title string
	// spare is how easily the column can be done without on a narrow
	// terminal: the highest goes first, 0 never.
	spare int
	right bool // aligned to the right, for numbers
}

type cell struct {
	text  string
	style lipgloss.Style
}

func (g grid) render(to *stream, indent string) string {
	if !to.terminal {
		return g.plain(indent)
	}
	for i := len(g.columns) - 1; i >= 0; i-- {
		if g.columns[i].spare > 0 && g.empty(i) {
			g.drop(i)
		}
	}
	limit := to.width() - len(indent)
	for g.width() > limit && g.leaveOut() {
	}
	st := to.styles
	t := table.New().
		Border(lipgloss.RoundedBorder()).
		BorderStyle(st.dim).
		BorderRow(false).
		BorderColumn(false).
		Headers(g.titles()...).
		StyleFunc(func(row, col int) lipgloss.Style {
			style := st.dim
			if row != table.HeaderRow {
				style = g.rows[row][col].style
			}
			if g.columns[col].right {
				style = style.Align(lipgloss.Right)
			}
			return style.Padding(0, 1)
		})
	for _, row := range g.rows {
		t.Row(texts(row)...)
	}
	return indentLines(t.Render(), indent) + "\n"
}

func (g grid) plain(indent string) string {
	widths := g.widths()
	var b strings.Builder
	line := func(row []string) {
		var l strings.Builder
		l.WriteString(indent)
		for i, text := range row {
			pad := strings.Repeat(" ", widths[i]-lipgloss.Width(text))
			if g.columns[i].right {
				text = pad + text
			} else {
				text += pad
			}
			l.WriteString(text + "  ")
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(g.titles())
	for _, row := range g.rows {
		line(texts(row))
	}
	return b.String()
}

func (g grid) titles() []string {
	titles := make([]string, len(g.columns))
	for i, c := range g.columns {
		titles[i] = c.title
	}
	return titles
}

func (g grid) widths() []int {
	widths := make([]int, len(g.columns))
	for i, c := range g.columns {
		widths[i] = lipgloss.Width(c.title)
	}
	for _, row := range g.rows {
		for i, c := range row {
			widths[i] = max(widths[i], lipgloss.Width(c.text))
		}
	}
	return widths
}

// width is that of the whole table with its border.
func (g grid) width() int {
	total := 2
	for _, w := range g.widths() {
		total += w + 2
	}
	return total
}

// leaveOut drops the column that is easiest to do without, if there is one.
func (g *grid) leaveOut() bool {
	worst := -1
	for i, c := range g.columns {
		if c.spare > 0 && (worst < 0 || c.spare > g.columns[worst].spare) {
			worst = i
		}
	}
	if worst < 0 {
		return false
	}
	g.drop(worst)
	return true
}

// empty reports whether nothing stands in a column.
func (g grid) empty(column int) bool {
	return !slices.ContainsFunc(g.rows, func(row []cell) bool { return row[column].text != "" })
}

// drop takes a column out.
func (g *grid) drop(column int) {
	g.columns = slices.Delete(slices.Clone(g.columns), column, column+1)
	rows := make([][]cell, len(g.rows))
	for i, row := range g.rows {
		rows[i] = slices.Delete(slices.Clone(row), column, column+1)
	}
	g.rows = rows
}

func texts(row []cell) []string {
	out := make([]string, len(row))
	for i, c := range row {
		out[i] = c.text
	}
	return out
}

func indentLines(text, indent string) string {
	return indent + strings.ReplaceAll(text, "\n", "\n"+indent)
}
