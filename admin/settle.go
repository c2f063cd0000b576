package admin

import (
	"html"
	"html/template"
	"strconv"
	"text/template/parse"
)

// settle puts the texts whose keys stand in a template into it, once: a call of t
// with nothing but a key becomes the text itself. Most of what a page says is of that kind, and looking
// it up again for each page costs more than all of a page's queries. It must
// happen before a template is executed for the first time.
//
// The texts end in elements and in quoted attributes, never in addresses or
// scripts, so escaping them needs no more than html.EscapeString; a test holds
// that.
func (v *views) settle(l string, t *template.Template) {
	for _, each := range t.Templates() {
		if each.Tree != nil {
			settler{v.texts[l]}.list(each.Tree.Root)
		}
	}
}

// settler walks what a template was parsed to.
type settler struct{ texts map[string]string }

func (s settler) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for i, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.ActionNode:
			s.pipe(n.Pipe)
			if text, ok := constant(n.Pipe); ok && len(n.Pipe.Decl) == 0 {
				list.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(html.EscapeString(text))}
			}
		case *parse.IfNode:
			s.branch(&n.BranchNode)
		case *parse.RangeNode:
			s.branch(&n.BranchNode)
		case *parse.WithNode:
			s.branch(&n.BranchNode)
		case *parse.TemplateNode:
			s.pipe(n.Pipe)
		}
	}
}

func (s settler) branch(b *parse.BranchNode) {
	s.pipe(b.Pipe)
	s.list(b.List)
	s.list(b.ElseList)
}

// pipe settles the commands of a pipeline, and the pipelines in parentheses
// among their arguments.
func (s settler) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, command := range p.Cmds {
		for i, arg := range command.Args {
			inner, ok := arg.(*parse.PipeNode)
			if !ok {
				continue
			}
			s.pipe(inner)
			if text, ok := constant(inner); ok {
				command.Args[i] = stringNode(text, inner.Pos)
			}
		}
		if text, ok := s.lookup(command); ok {
			command.Args = []parse.Node{stringNode(text, command.Pos)}
		}
	}
}

// lookup gives the text of a command that is t and a key, with no arguments.
func (s settler) lookup(command *parse.CommandNode) (string, bool) {
	if len(command.Args) != 2 {
		return "", false
	}
	function, isFunction := command.Args[0].(*parse.IdentifierNode)
	key, isKey := command.Args[1].(*parse.StringNode)
	if !isFunction || !isKey || function.Ident != "t" {
		return "", false
	}
	text, known := s.texts[key.Text]
	return text, known // an unknown one is shown as it is when the page is made
}

// constant gives the string that is all of a pipeline.
func constant(p *parse.PipeNode) (string, bool) {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return "", false
	}
	text, ok := p.Cmds[0].Args[0].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return text.Text, true
}

func stringNode(text string, at parse.Pos) *parse.StringNode {
	return &parse.StringNode{NodeType: parse.NodeString, Pos: at, Quoted: strconv.Quote(text), Text: text}
}
