package storage_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNoInputIsPartOfAStatement follows the text of each statement back through
// variables, parameters and fields to where it comes from: only to texts that
// stand in the code, and placeholders.
func TestNoInputIsPartOfAStatement(t *testing.T) {
	t.Parallel()
	s := statements{
		set: token.NewFileSet(), functions: map[string][]*ast.FuncDecl{}, calls: map[string][]place{},
		values: map[string]ast.Expr{}, fields: map[string][]place{}, looked: map[ast.Expr]bool{},
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(s.set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.learn(file)
	}
	asked := 0
	// What runs a statement, ours and that of libraries, with the place of the
	// text; what only passes a text on is left out.
	passing := []string{"exec", "insert", "one", "each", "list", "ExecContext", "QueryContext", "QueryRowContext", "PrepareContext", "statement"}
	for name, at := range map[string]int{
		"exec": 1, "insert": 1, "one": 1, "each": 1, "list": 1,
		"ExecContext": 1, "QueryContext": 1, "QueryRowContext": 1, "PrepareContext": 1, "Where": 0, "Order": 0, "Raw": 0, "Exec": 0,
	} {
		for _, p := range s.calls[name] {
			where, call := s.set.Position(p.expr.Pos()), p.expr.(*ast.CallExpr)
			if asked++; !slices.Contains(passing, p.in.Name.Name) && !s.constant(call.Args[at], p.in) {
				t.Errorf("%s: %s runs a text of which not all stands in the code", where, p.in.Name.Name)
			}
		}
	}
	if asked < 200 {
		t.Errorf("only %d statements were found", asked)
	}
}

// statements knows how texts come about in the package.
type statements struct {
	set       *token.FileSet
	functions map[string][]*ast.FuncDecl
	calls     map[string][]place  // by the name of the function
	values    map[string]ast.Expr // constants and variables of the package
	fields    map[string][]place  // what is ever put into a field, by its name
	looked    map[ast.Expr]bool   // being looked at, or found to be good
}

// place is an expression, and the function in which it stands.
type place struct {
	expr ast.Expr
	in   *ast.FuncDecl
}

func (s *statements) learn(file *ast.File) {
	for _, decl := range file.Decls {
		in, _ := decl.(*ast.FuncDecl)
		if in != nil {
			s.functions[in.Name.Name] = append(s.functions[in.Name.Name], in)
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if in == nil && i < len(n.Values) {
						s.values[name.Name] = n.Values[i]
					}
				}
			case *ast.CallExpr:
				s.calls[called(n)] = append(s.calls[called(n)], place{n, in})
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					s.fields[key.Name] = append(s.fields[key.Name], place{n.Value, in})
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if field, ok := left.(*ast.SelectorExpr); ok && i < len(n.Rhs) {
						s.fields[field.Sel.Name] = append(s.fields[field.Sel.Name], place{n.Rhs[i], in})
					}
				}
			}
			return true
		})
	}
}

// called gives the name of what is called, without package, receiver and types.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.IndexExpr:
		if name, ok := f.X.(*ast.Ident); ok {
			return name.Name
		}
	}
	return ""
}

// constant says whether a text, or a list of texts, is made only of what stands
// in the code and of placeholders.
func (s *statements) constant(expr ast.Expr, in *ast.FuncDecl) bool {
	if s.looked[expr] {
		return true
	}
	s.looked[expr] = true
	good := false
	switch e := expr.(type) {
	case *ast.BasicLit:
		good = e.Kind == token.STRING
	case *ast.ParenExpr:
		good = s.constant(e.X, in)
	case *ast.BinaryExpr:
		good = e.Op == token.ADD && s.constant(e.X, in) && s.constant(e.Y, in)
	case *ast.Ident:
		good = s.name(e.Name, in)
	case *ast.CompositeLit:
		good = true
		for _, element := range e.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				element = pair.Value
			}
			good = good && s.constant(element, in)
		}
	case *ast.SelectorExpr:
		good = s.field(e, in)
	case *ast.CallExpr:
		good = s.made(e, in)
	}
	s.looked[expr] = good
	return good
}

// made says it of what a function gives.
func (s *statements) made(call *ast.CallExpr, in *ast.FuncDecl) bool {
	switch called(call) {
	case "in": // placeholders
		return true
	case "Repeat", "TrimSuffix", "TrimPrefix": // of strings
		return s.constant(call.Args[0], in)
	case "Join", "append":
		for _, arg := range call.Args {
			if !s.constant(arg, in) {
				return false
			}
		}
		return true
	}
	made := s.functions[called(call)]
	if len(made) != 1 {
		return false
	}
	good := true
	ast.Inspect(made[0].Body, func(n ast.Node) bool {
		if _, closure := n.(*ast.FuncLit); closure {
			return false
		}
		if back, ok := n.(*ast.ReturnStmt); ok && len(back.Results) > 0 {
			good = good && s.constant(back.Results[0], made[0])
		}
		return true
	})
	return good
}

// name says it of everything that a name is ever given: in its function, by its
// callers, or in the package.
func (s *statements) name(name string, in *ast.FuncDecl) bool {
	given := s.given(name, in)
	calls, index := s.callers(name, in)
	if index < 0 && len(given) == 0 {
		value := s.values[name]
		return value != nil && s.constant(value, nil)
	}
	for _, p := range calls {
		if args := p.expr.(*ast.CallExpr).Args; index >= len(args) || !s.constant(args[index], p.in) {
			return false
		}
	}
	for _, expr := range given {
		if !s.constant(expr, in) {
			return false
		}
	}
	return index < 0 || len(calls) > 0
}

// callers gives the calls that give a parameter its value, and its place; -1: the
// name is no parameter of the function, nor of one within it.
func (s *statements) callers(name string, in *ast.FuncDecl) (calls []place, index int) {
	if in == nil {
		return nil, -1
	}
	index = indexOf(name, in.Type.Params)
	if index >= 0 {
		for _, p := range s.calls[in.Name.Name] {
			if s.means(p, in) {
				calls = append(calls, p)
			}
		}
		return calls, index
	}
	ast.Inspect(in.Body, func(n ast.Node) bool {
		assigned, ok := n.(*ast.AssignStmt)
		if !ok || len(assigned.Lhs) != 1 {
			return true
		}
		inner, ok := assigned.Rhs[0].(*ast.FuncLit)
		own, named := assigned.Lhs[0].(*ast.Ident)
		if !ok || !named || indexOf(name, inner.Type.Params) < 0 {
			return true
		}
		index = indexOf(name, inner.Type.Params)
		for _, p := range s.calls[own.Name] {
			if p.in == in {
				calls = append(calls, p)
			}
		}
		return true
	})
	return calls, index
}

// means says whether a call may be one of a function, of several of that name. A
// method that is called on its caller's own receiver is that of its type, if
// there is one; else it comes from within.
func (s *statements) means(p place, function *ast.FuncDecl) bool {
	on, method := p.expr.(*ast.CallExpr).Fun.(*ast.SelectorExpr)
	if !method || function.Recv == nil {
		return !method && function.Recv == nil
	}
	name, of := receiver(p.in)
	if itself, ok := on.X.(*ast.Ident); !ok || itself.Name != name {
		return true
	}
	own := slices.ContainsFunc(s.functions[on.Sel.Name], func(other *ast.FuncDecl) bool {
		_, kind := receiver(other)
		return kind == of
	})
	_, wanted := receiver(function)
	return !own || of == wanted
}

// receiver gives name and type of what a method is of.
func receiver(function *ast.FuncDecl) (name, of string) {
	if function == nil || function.Recv == nil || len(function.Recv.List[0].Names) == 0 {
		return "", ""
	}
	kind := function.Recv.List[0].Type
	if pointer, ok := kind.(*ast.StarExpr); ok {
		kind = pointer.X
	}
	id, _ := kind.(*ast.Ident)
	return function.Recv.List[0].Names[0].Name, id.Name
}

// given is every expression that a function gives to a name of its own.
func (s *statements) given(name string, in *ast.FuncDecl) (given []ast.Expr) {
	if in == nil {
		return nil
	}
	is := func(expr ast.Expr) bool {
		id, ok := expr.(*ast.Ident)
		return ok && id.Name == name
	}
	ast.Inspect(in.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				switch {
				case !is(left):
				case i < len(n.Rhs):
					given = append(given, n.Rhs[i])
				default: // the second of what a function gives
					given = append(given, &ast.BadExpr{})
				}
			}
		case *ast.ValueSpec:
			for i, left := range n.Names {
				if left.Name == name && i < len(n.Values) {
					given = append(given, n.Values[i])
				}
			}
		case *ast.RangeStmt:
			if n.Value != nil && is(n.Value) {
				given = append(given, n.X)
			}
		}
		return true
	})
	return given
}

// field says it of everything that is put into fields of a name.
func (s *statements) field(e *ast.SelectorExpr, in *ast.FuncDecl) bool {
	for _, p := range s.fields[e.Sel.Name] {
		if !s.constant(p.expr, p.in) {
			return false
		}
	}
	if len(s.fields[e.Sel.Name]) > 0 {
		return true
	}
	row, ok := e.X.(*ast.Ident)
	if !ok {
		return false
	}
	tables := s.given(row.Name, in)
	for _, expr := range tables {
		if !s.column(expr, e.Sel.Name, in) {
			return false
		}
	}
	return len(tables) > 0
}

// column says it of one column of a table that is written down where it is used.
func (s *statements) column(expr ast.Expr, name string, in *ast.FuncDecl) bool {
	if id, ok := expr.(*ast.Ident); ok {
		expr, in = s.values[id.Name], nil
	}
	table, ok := expr.(*ast.CompositeLit)
	if !ok {
		return false
	}
	list, ok := table.Type.(*ast.ArrayType)
	if !ok {
		return false
	}
	of, ok := list.Elt.(*ast.StructType)
	if !ok {
		return false
	}
	index := indexOf(name, of.Fields)
	for _, row := range table.Elts {
		cells, ok := row.(*ast.CompositeLit)
		if !ok || index < 0 || index >= len(cells.Elts) || !s.constant(cells.Elts[index], in) {
			return false
		}
	}
	return true
}

// indexOf gives the place of a name among parameters or fields; -1: it is none.
func indexOf(name string, list *ast.FieldList) int {
	i := 0
	for _, field := range list.List {
		for _, id := range field.Names {
			if id.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}
