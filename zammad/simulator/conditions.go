package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// subject is what a condition is asked about: a ticket, for triggers with an event, for
// searches with one of its articles.
type subject struct {
	ticket  row
	article row    // nil: every article.* condition is false
	event   *event // nil in searches
}

// matches evaluates a condition, flat or as a tree (contract 4.4 and 5). An unknown column is
// the database's error, an unknown operator the program's.
func matches(c *call, condition map[string]any, s subject) (bool, error) {
	if parts, tree := condition["conditions"].([]any); tree {
		return matchesTree(c, asText(condition["operator"]), parts, s)
	}
	for name, v := range condition {
		rule, _ := v.(map[string]any)
		ok, err := matchesOne(c, name, row(rule), s)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func matchesTree(c *call, operator string, parts []any, s subject) (bool, error) {
	hits := 0
	for _, p := range parts {
		node, _ := p.(map[string]any)
		var ok bool
		var err error
		if _, nested := node["conditions"]; nested {
			ok, err = matches(c, node, s)
		} else {
			ok, err = matchesOne(c, asText(node["name"]), row(node), s)
		}
		if err != nil {
			return false, err
		}
		if ok {
			hits++
		}
	}
	switch strings.ToUpper(operator) {
	case "OR":
		return hits > 0, nil
	case "NOT":
		return hits == 0, nil
	}
	return hits == len(parts), nil
}

func matchesOne(c *call, name string, rule row, s subject) (bool, error) {
	object, column, _ := strings.Cut(name, ".")
	operator := rule.str("operator")
	switch name {
	case "ticket.action":
		return s.event != nil && member(s.event.kind, rule["value"]) == (operator == "is"), nil
	case "article.action":
		return s.event != nil && (s.event.article != nil) == (operator == "is"), nil
	case "ticket.tags":
		return matchesTags(c, operator, rule, s.ticket.id()), nil
	}
	var r row
	switch object {
	case "ticket":
		r = s.ticket
		if operator == "has changed" {
			if s.event == nil {
				return false, nil
			}
			_, changed := s.event.changes[column]
			return changed, nil
		}
	case "article":
		if r = s.article; r == nil {
			return false, nil
		}
	case "customer":
		r = c.users.rows[s.ticket.num("customer_id")]
	case "group":
		r = c.groups.rows[s.ticket.num("group_id")]
	default:
		return false, unknownColumn(name)
	}
	if r == nil {
		return false, nil
	}
	value, known := r[column]
	if !known {
		return false, unknownColumn(name)
	}
	return compareValue(c, operator, value, rule)
}

func unknownColumn(name string) error {
	return refused(fmt.Sprintf("PG::UndefinedColumn: column %s does not exist", name))
}

func member(v string, list any) bool { return slices.Contains(texts(list), v) }

func matchesTags(c *call, operator string, rule row, ticket int) bool {
	hits := 0
	wanted := strings.Split(strings.Join(texts(rule["value"]), ","), ",")
	for _, t := range wanted {
		if slices.Contains(c.tags[ticket], strings.TrimSpace(t)) {
			hits++
		}
	}
	switch operator {
	case "contains all":
		return hits == len(wanted)
	case "contains one":
		return hits > 0
	case "contains all not":
		return hits < len(wanted)
	}
	return hits == 0 // contains one not
}

// compareValue holds the operators of 6.1. A comparison with null is false, except for "is not".
func compareValue(c *call, operator string, value any, rule row) (bool, error) {
	text := strings.ToLower(asText(value))
	wanted := texts(rule["value"])
	if b, ok := rule["value"].(bool); ok {
		wanted = []string{fmt.Sprint(b)}
	} else if n, ok := rule["value"].(int); ok {
		wanted = []string{fmt.Sprint(n)}
	}
	anyOf := func(f func(string, string) bool) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return f(text, strings.ToLower(w)) })
	}
	equal := func(a, b string) bool { return a == b }
	if b, ok := value.(bool); ok {
		text = fmt.Sprint(b)
	}
	switch operator {
	case "is":
		if len(wanted) == 0 || len(wanted) == 1 && wanted[0] == "" {
			return text == "", nil
		}
		return value != nil && anyOf(equal), nil
	case "is not":
		if len(wanted) == 0 || len(wanted) == 1 && wanted[0] == "" {
			return text != "", nil
		}
		return !anyOf(equal), nil
	case "contains":
		return value != nil && anyOf(strings.Contains), nil
	case "contains not": // null never matches in 6.1
		return value != nil && !anyOf(strings.Contains), nil
	case "starts with":
		return value != nil && anyOf(strings.HasPrefix), nil
	case "ends with":
		return value != nil && anyOf(strings.HasSuffix), nil
	case "has changed":
		return false, nil
	}
	return compareTime(c, operator, value, rule)
}

func compareTime(c *call, operator string, value any, rule row) (bool, error) {
	var bound time.Time
	var err error
	switch operator {
	case "before (absolute)", "after (absolute)":
		if bound, err = time.Parse(time.RFC3339, asText(rule["value"])); err != nil {
			return false, refused("invalid date")
		}
	case "before (relative)", "within last (relative)":
		bound = relative(rule, c.now, -1)
	case "after (relative)", "within next (relative)":
		bound = relative(rule, c.now, 1)
	case "from (relative)":
		bound = relative(rule, c.now, -1)
	case "till (relative)":
		bound = relative(rule, c.now, 1)
	default:
		return false, broken("Invalid operator '" + operator + "'")
	}
	at, ok := value.(stamp)
	if !ok {
		return false, nil
	}
	t := time.Time(at)
	switch operator {
	case "before (absolute)", "before (relative)", "till (relative)":
		return t.Before(bound), nil
	case "within last (relative)":
		return !t.Before(bound) && !t.After(c.now), nil
	case "within next (relative)":
		return !t.After(bound) && !t.Before(c.now), nil
	}
	return t.After(bound), nil
}

// relative moves from by value and range of the rule, for instance 6 and month.
func relative(rule row, from time.Time, sign int) time.Time {
	k := sign * rule.num("value")
	switch rule.str("range") {
	case "minute":
		return from.Add(time.Duration(k) * time.Minute)
	case "hour":
		return from.Add(time.Duration(k) * time.Hour)
	case "week":
		return from.AddDate(0, 0, 7*k)
	case "month":
		return from.AddDate(0, k, 0)
	case "year":
		return from.AddDate(k, 0, 0)
	}
	return from.AddDate(0, 0, k)
}

// searchTickets finds tickets by condition or by words, among those the caller may read
// (contract 2.3). There is no search engine, so what is written is found at once.
func searchTickets(c *call) (any, error) {
	var found []row
	byArticle := strings.Contains(fmt.Sprint(c.params["condition"]), "article.")
	for _, t := range c.tickets.all(func(t row) bool { return c.ticketAccess(t, "read") }) {
		ok, err := isHit(c, t, byArticle)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, t)
		}
	}
	if err := checkCondition(c); err != nil {
		return nil, err
	}
	sortRows(c, found)
	from, to := c.page(len(found), 50, 200)
	found = found[from:to]
	if c.wants("expand") {
		out := []row{}
		for _, t := range found {
			out = append(out, expandTicket(c, t))
		}
		return out, nil
	}
	a := newAssets(c)
	ids := []int{}
	for _, t := range found {
		ids = append(ids, t.id())
		a.ticket(t.id())
	}
	return row{"tickets": ids, "tickets_count": len(ids), "assets": a.out}, nil
}

// checkCondition finds a broken condition even where there is no ticket to try it on.
func checkCondition(c *call) error {
	condition, ok := c.params["condition"].(map[string]any)
	if !ok {
		return nil
	}
	made := row{"id": 0, "created_at": nil, "updated_at": nil, "created_by_id": nil, "updated_by_id": nil}
	t := ticketDefaults().with(made)
	for _, a := range c.ticketAttributes() {
		t[a.str("name")] = nil
	}
	_, err := matches(c, condition, subject{ticket: t, article: articleDefaults().with(made)})
	return err
}

func isHit(c *call, t row, byArticle bool) (bool, error) {
	if words, ok := c.params["query"].(string); ok && words != "" {
		return mentionsWords(c, t, strings.ToLower(strings.Trim(words, "* "))), nil
	}
	condition, ok := c.params["condition"].(map[string]any)
	if !ok {
		return true, nil
	}
	if !byArticle {
		return matches(c, condition, subject{ticket: t})
	}
	for _, a := range c.ticketArticles(t.id()) {
		if ok, err := matches(c, condition, subject{ticket: t, article: a}); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func mentionsWords(c *call, t row, words string) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), words) }
	if has(t.str("title")) || has(t.str("number")) {
		return true
	}
	return slices.ContainsFunc(c.ticketArticles(t.id()), func(a row) bool {
		return has(a.str("body")) || has(a.str("subject")) || has(a.str("from")) || has(a.str("to"))
	})
}

// sortRows orders by sort_by and order_by; newest change first unless told otherwise.
func sortRows(c *call, rows []row) {
	column, down := c.params.str("sort_by"), strings.EqualFold(c.params.str("order_by"), "desc")
	if column == "" {
		column, down = "updated_at", true
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		n := 0
		switch x := a[column].(type) {
		case int:
			n = x - b.num(column)
		case stamp:
			n = time.Time(x).Compare(b.time(column))
		default:
			n = strings.Compare(asText(x), asText(b[column]))
		}
		if down {
			return -n
		}
		return n
	})
}
