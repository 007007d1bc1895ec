// SPDX-License-Identifier: Apache-2.0

package purity

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// anyText stands in a message for text that differs.
const anyText = "…"

// levels are the methods of a logger, and the levels that methods write and log of this module get as their first argument.
var levels = []string{"Trace", "Debug", "Info", "Warn", "Error"}

// filledElsewhere are packages that log a field that another package fills.
var filledElsewhere = map[string]string{"cmd/tandem/internal/director/core": "cmd/tandem/internal/director/hooks"}

// relays are the functions that pass on messages that other functions write.
var relays = []string{"cmd/tandem/internal/director, carryOut", "vrrp/speaker, run"}

// A logLine is a message that a package logs. Text that differs is anyText.
type logLine struct {
	message string
	level   string // empty: it differs
	place   string
}

// A value is an expression, and the functions around it.
type value struct {
	ast.Expr
	within []function
}

// A call is a call of a function by its name.
type call struct {
	*ast.CallExpr
	within []function
}

// A logSource is the source of a package, in which its log lines are found.
type logSource struct {
	path   string
	values map[string][]value // what names of the package and, behind a dot, fields get
	calls  map[string][]call
	all    []call // in the order of the files
}

// A function is a function of the package, or a literal that a variable has.
type function struct {
	name string
	kind *ast.FuncType
	body *ast.BlockStmt
}

// readSource indexes the files of a package.
func readSource(path string, files []*ast.File) *logSource {
	s := &logSource{path: path, values: make(map[string][]value), calls: make(map[string][]call)}
	for _, file := range files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.GenDecl:
				s.addValues(d)
				s.addBody(d, nil)
			case *ast.FuncDecl:
				if d.Body != nil {
					s.addBody(d.Body, functionsIn(d))
				}
			}
		}
	}
	return s
}

// addValues adds constants and variables of the package.
func (s *logSource) addValues(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok {
			for i, name := range v.Names {
				if i < len(v.Values) {
					s.values[name.Name] = append(s.values[name.Name], value{v.Values[i], nil})
				}
			}
		}
	}
}

// addBody adds the calls and the fields of a part of the source.
func (s *logSource) addBody(part ast.Node, within []function) {
	ast.Inspect(part, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.CallExpr:
			name := nameOf(n.Fun)
			s.calls[name] = append(s.calls[name], call{n, within})
			s.all = append(s.all, call{n, within})
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				s.values["."+key.Name] = append(s.values["."+key.Name], value{n.Value, within})
			}
		}
		return true
	})
}

// functionsIn returns a function, and the literals within that variables have, the innermost last.
func functionsIn(d *ast.FuncDecl) []function {
	all := []function{{d.Name.Name, d.Type, d.Body}}
	assignments(d.Body, func(name string, right ast.Expr) {
		if made, ok := right.(*ast.FuncLit); ok {
			all = append(all, function{name, made.Type, made.Body})
		}
	})
	return all
}

// assignments calls f for each name that gets a value in a part of the source.
func assignments(part ast.Node, f func(name string, right ast.Expr)) {
	ast.Inspect(part, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if len(n.Lhs) == len(n.Rhs) {
					f(nameOf(left), n.Rhs[i])
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) {
					f(name.Name, n.Values[i])
				}
			}
		}
		return true
	})
}

// lines returns what the package logs, and where a message cannot be read from the source.
func (s *logSource) lines() (all []logLine, unread []string) {
	for _, c := range s.all {
		message, level, ok := logged(c)
		if !ok {
			continue
		}
		place := s.path
		if len(c.within) > 0 {
			place += ", " + c.within[0].name
		}
		readable := false
		for _, text := range s.texts(value{message, c.within}, 0) {
			if strings.Trim(text, anyText+" :") != "" {
				readable = true
				all = append(all, logLine{text, level, place})
			}
		}
		if !readable {
			unread = append(unread, place)
		}
	}
	return all, unread
}

// logged returns the message and the level of a call that logs.
func logged(c call) (message ast.Expr, level string, ok bool) {
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		on := strings.ToLower(nameOf(f.X))
		logger := on == "log" || on == "logger" || on == "out"
		switch {
		case (logger || f.Sel.Name != "Error") && slices.Contains(levels, f.Sel.Name) && len(c.Args) > 0:
			return c.Args[0], f.Sel.Name, true
		case logger && (f.Sel.Name == "write" || f.Sel.Name == "Log") && len(c.Args) > 1, f.Sel.Name == "log" && len(c.Args) > 1:
			return c.Args[1], levelOf(c.Args[0]), true
		}
	case *ast.Ident: // a variable that has the method of a logger
		if len(c.within) == 0 || len(c.Args) == 0 {
			break
		}
		var found []string
		assignments(c.within[0].body, func(name string, right ast.Expr) {
			if method, is := right.(*ast.SelectorExpr); is && name == f.Name && strings.EqualFold(nameOf(method.X), "log") {
				found = append(found, levelOf(method))
			}
		})
		if len(found) > 0 && !slices.Contains(found, "") {
			level = ""
			if len(found) == 1 {
				level = found[0]
			}
			return c.Args[0], level, true
		}
	}
	return nil, "", false
}

// levelOf returns the name of a level, or of the method for it. It is empty if the expression is something else.
func levelOf(e ast.Expr) string {
	if name := nameOf(e); slices.Contains(levels, name) {
		return name
	}
	return ""
}

// maxDepth bounds how far the values of names are followed.
const maxDepth = 6

// texts returns what an expression can be.
func (s *logSource) texts(v value, depth int) []string {
	if depth > maxDepth {
		return []string{anyText}
	}
	switch e := v.Expr.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{text}
		}
	case *ast.ParenExpr:
		return s.texts(value{e.X, v.within}, depth)
	case *ast.BinaryExpr:
		var all []string
		for _, left := range s.texts(value{e.X, v.within}, depth+1) {
			for _, right := range s.texts(value{e.Y, v.within}, depth+1) {
				all = append(all, left+right)
			}
		}
		return all
	case *ast.SelectorExpr:
		return s.anyOf(s.values["."+e.Sel.Name], depth)
	case *ast.Ident:
		return s.anyOf(s.valuesOf(e.Name, v.within), depth)
	}
	return []string{anyText}
}

// anyOf returns what one of several expressions can be.
func (s *logSource) anyOf(values []value, depth int) (texts []string) {
	for _, v := range values {
		for _, text := range s.texts(v, depth+1) {
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	if texts == nil {
		return []string{anyText}
	}
	return texts
}

// valuesOf returns what a name gets: a parameter by the calls, a variable of the function, or a name of the package.
func (s *logSource) valuesOf(name string, within []function) (all []value) {
	for _, fn := range slices.Backward(within) {
		if at, ok := position(fn.kind, name); ok {
			for _, c := range s.calls[fn.name] {
				if at < len(c.Args) {
					all = append(all, value{c.Args[at], c.within})
				}
			}
			return all
		}
	}
	if len(within) > 0 {
		assignments(within[0].body, func(to string, right ast.Expr) {
			if to == name {
				all = append(all, value{right, within})
			}
		})
	}
	if all == nil {
		return s.values[name]
	}
	return all
}

// position returns the position of a parameter.
func position(kind *ast.FuncType, name string) (at int, ok bool) {
	for _, field := range kind.Params.List {
		for _, param := range field.Names {
			if param.Name == name {
				return at, true
			}
			at++
		}
	}
	return 0, false
}
