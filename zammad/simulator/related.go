package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"image"
	_ "image/jpeg" // to tell whether an uploaded picture is one
	_ "image/png"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"deskbridge/zammad/simulator/sanitizer"
)

// file is an attachment before it is stored.
type file struct {
	name        string
	data        []byte
	preferences map[string]any
}

// readFiles decodes the attachments of an article; base64 may have line breaks.
func readFiles(v any) ([]file, error) {
	items, _ := v.([]any)
	var files []file
	for i, item := range items {
		m, _ := item.(map[string]any)
		for _, key := range []string{"mime-type", "filename", "data"} {
			if m[key] == nil {
				return nil, invalid(fmt.Sprintf("Attachment needs '%s' param for attachment with index '%d'", key, i))
			}
		}
		raw := strings.NewReplacer("\r", "", "\n", "").Replace(asText(m["data"]))
		data, err := base64.StdEncoding.Strict().DecodeString(raw)
		if err != nil {
			return nil, invalid(fmt.Sprintf("Invalid base64 for attachment with index '%d'", i))
		}
		files = append(files, file{name: asText(m["filename"]), data: data, preferences: map[string]any{"Mime-Type": m["mime-type"]}})
	}
	return files, nil
}

// inlinePictures replaces data-URL pictures by content ids; they become attachments.
func inlinePictures(c *call, ticket int, body string) (string, []file) {
	var files []file
	var b strings.Builder
	at := 0
	for _, p := range sanitizer.Pictures(body) {
		data, err := base64.StdEncoding.DecodeString(p.Data)
		if err != nil {
			continue
		}
		cid := fmt.Sprintf("%d.%s@%s", ticket, uuid.NewString(), asText(c.setting("fqdn")))
		name := fmt.Sprintf("image%d.%s", len(files)+1, strings.TrimPrefix(p.Type, "image/"))
		files = append(files, file{name: name, data: data, preferences: map[string]any{"Content-Type": p.Type,
			"Mime-Type": p.Type, "Content-ID": cid, "Content-Disposition": "inline"}})
		b.WriteString(body[at:p.Start] + "cid:" + cid)
		at = p.End
	}
	return b.String() + body[at:], files
}

// storeFiles writes the attachments of an article; equal contents share one store_file_id.
func storeFiles(c *call, article int, files []file) error {
	for _, f := range files {
		if strings.TrimSpace(f.name) == "" {
			return invalid("Filename can't be blank")
		}
		describePicture(f)
		sum := sha256.Sum256(f.data)
		key := hex.EncodeToString(sum[:])
		blob, known := c.blobIDs[key]
		if !known {
			blob = len(c.blobs) + 1
			c.blobIDs[key], c.blobs[blob] = blob, f.data
		}
		c.files.insert(&c.tx, row{"article_id": article, "store_file_id": blob, "filename": cut(f.name, 250),
			"size": strconv.Itoa(len(f.data)), "preferences": f.preferences})
	}
	return nil
}

// describePicture adds what Zammad finds out about uploaded pictures.
func describePicture(f file) {
	if kind := asText(f.preferences["Mime-Type"]); kind != "image/png" && kind != "image/jpeg" {
		return
	}
	size, _, err := image.DecodeConfig(bytes.NewReader(f.data))
	switch {
	case err != nil:
		f.preferences["resizable"] = false
	case size.Width > 200:
		f.preferences["resizable"], f.preferences["content_preview"] = true, true
		if size.Width > 1800 {
			f.preferences["content_inline"] = true
		}
	}
}

func (db *database) articleFiles(article int) []row {
	return db.files.where("article_id", article)
}

var inlineTypes = []string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff", "application/pdf"}

// downloadFile sends an attachment (contract 2.5). Previews are not made: view=preview and
// view=inline give the file as it is.
func downloadFile(c *call) (any, error) {
	t, ok := c.tickets.rows[c.pathID("ticket")]
	if !ok {
		return nil, broken("unable to find policy of nil")
	}
	if !c.ticketAccess(t, "read") {
		return nil, forbidden("Not authorized")
	}
	a, err := c.articles.find(c.pathID("article"))
	if err != nil {
		return nil, err
	}
	if a.num("ticket_id") != t.id() && c.mergedInto(t.id()) != a.num("ticket_id") {
		return nil, forbidden("The article does not belong to the specified ticket.")
	}
	f, ok := c.files.rows[c.pathID("file")]
	if !ok || f.num("article_id") != a.id() {
		return nil, forbidden("The file does not belong to the specified article.")
	}
	wanted := asText(c.params["disposition"])
	if wanted != "" && wanted != "inline" && wanted != "attachment" {
		return nil, forbidden("Invalid disposition requested.")
	}
	kind := asText(f.object("preferences")["Content-Type"])
	if kind == "" {
		kind = asText(f.object("preferences")["Mime-Type"])
	}
	disposition := "attachment"
	switch {
	case slices.ContainsFunc([]string{"html", "svg", "xml", "javascript"}, func(s string) bool { return strings.Contains(kind, s) }):
		kind = "application/octet-stream"
	case wanted != "attachment" && slices.Contains(inlineTypes, kind):
		disposition = "inline"
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	return answer{raw: c.blobs[f.num("store_file_id")], header: http.Header{
		"Content-Type": {kind}, "Content-Disposition": {contentDisposition(disposition, f.str("filename"))},
		"Cache-Control": {"private"}, "Content-Security-Policy": {"default-src 'none'"}}}, nil
}

func contentDisposition(kind, name string) string {
	ascii := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r > 126 || r < 32 || r == '"' || r == '\\':
			return '?'
		}
		return r
	}, norm.NFD.String(name))
	return fmt.Sprintf(`%s; filename="%s"; filename*=UTF-8''%s`, kind, ascii, url.PathEscape(name))
}

// mentionAgents subscribes the agents whom links in the body name (contract 2.4). An author who is
// no agent breaks on them.
func mentionAgents(c *call, ticket row, body string) error {
	for _, s := range sanitizer.Mentions(body) {
		if !c.isAgent() {
			return broken("User has no agent access to this ticket")
		}
		id, _ := strconv.Atoi(s)
		u, ok := c.users.rows[id]
		known := slices.ContainsFunc(c.mentions.where("mentionable_id", ticket.id()), func(m row) bool { return m.num("user_id") == id })
		if !ok || known || !c.groupAccess(u, ticket.num("group_id"), "read") {
			continue
		}
		c.mentions.insert(&c.tx, row{"mentionable_type": "Ticket", "mentionable_id": ticket.id(), "user_id": id,
			"updated_by_id": c.user.id(), "created_by_id": c.user.id(), "created_at": c.stamp(), "updated_at": c.stamp()})
	}
	return nil
}

func listMentions(c *call) (any, error) {
	t, err := c.ticketFor(c.params.num("mentionable_id"), "read")
	if err != nil {
		return nil, err
	}
	return row{"mentions": nonNil(c.mentions.where("mentionable_id", t.id()))}, nil
}

func nonNil(rows []row) []row {
	if rows == nil {
		return []row{}
	}
	return rows
}

// ticketLinks shows the links of a ticket from its side: the successor of a merged one is
// its parent.
func (db *database) ticketLinks(ticket int) []row {
	out := []row{}
	for _, l := range append(db.links.where("source_id", ticket), db.links.where("target_id", ticket)...) {
		kind, other := l.str("type"), 0
		switch ticket {
		case l.num("target_id"):
			other = l.num("source_id")
		case l.num("source_id"):
			other = l.num("target_id")
			kind = map[string]string{"parent": "child", "child": "parent", "normal": "normal"}[kind]
		default:
			continue
		}
		out = append(out, row{"link_type": kind, "link_object": "Ticket", "link_object_value": other})
	}
	return out
}

func (db *database) mergedInto(ticket int) int {
	for _, l := range db.ticketLinks(ticket) {
		if l.str("link_type") == "parent" {
			return l.num("link_object_value")
		}
	}
	return 0
}

func listLinks(c *call) (any, error) {
	t, err := c.ticketFor(c.params.num("link_object_value"), "read")
	if err != nil {
		return nil, err
	}
	a := newAssets(c)
	links := c.ticketLinks(t.id())
	for _, l := range links {
		a.ticket(l.num("link_object_value"))
	}
	return row{"links": links, "assets": a.out}, nil
}

// addLink makes a link; the source may be named by number, as Zammad's screen does.
func addLink(c *call) (any, error) {
	target, err := c.ticketFor(c.params.num("link_object_target_value"), "change")
	if err != nil {
		return nil, err
	}
	source, ok := c.tickets.by("number", asText(c.params["link_object_source_number"]))
	if !ok {
		if source, ok = c.tickets.rows[c.params.num("link_object_source_value")]; !ok {
			return nil, invalid("The required parameter 'link_object_source_number' is missing or invalid.")
		}
	}
	kind := c.params.str("link_type")
	if !slices.Contains([]string{"normal", "parent", "child"}, kind) {
		return nil, invalid("Invalid link type.")
	}
	l := c.links.insert(&c.tx, row{"source_id": source.id(), "target_id": target.id(), "type": kind})
	return answer{status: 201, body: l}, nil
}

func listTags(c *call) (any, error) {
	t, err := c.ticketFor(c.params.num("o_id"), "read")
	if err != nil {
		return nil, err
	}
	return row{"tags": append([]string{}, c.tags[t.id()]...)}, nil
}

func addTag(c *call) (any, error) {
	t, err := c.ticketFor(c.params.num("o_id"), "change")
	if err != nil {
		return nil, err
	}
	c.tag(t.id(), asText(c.params["item"]))
	return answer{status: 201, body: true}, nil
}

func removeTag(c *call) (any, error) {
	t, err := c.ticketFor(c.params.num("o_id"), "change")
	if err != nil {
		return nil, err
	}
	c.untag(t.id(), asText(c.params["item"]))
	return true, nil
}

// tag adds a tag; tags raise no trigger event.
func (c *call) tag(ticket int, item string) {
	if item != "" && !slices.Contains(c.tags[ticket], item) {
		setTags(c, ticket, append(slices.Clone(c.tags[ticket]), item))
	}
}

func (c *call) untag(ticket int, item string) {
	setTags(c, ticket, slices.DeleteFunc(slices.Clone(c.tags[ticket]), func(s string) bool { return s == item }))
}

func setTags(c *call, ticket int, tags []string) {
	old := c.tags[ticket]
	c.undo = append(c.undo, func() { c.tags[ticket] = old })
	c.tags[ticket] = tags
}

func (c *call) noteHistory(ticket int, object string, id int, entry row) {
	c.history.insert(&c.tx, row{"ticket_id": ticket, "object": object, "o_id": id, "attribute": nil, "value_from": nil,
		"value_to": nil, "id_from": nil, "id_to": nil, "created_at": c.stamp(), "created_by_id": c.user.id()}.with(entry))
}

// ticketHistory shows creation, changes of state and merges. Zammad's own history holds more,
// such as who was notified.
func ticketHistory(c *call) (any, error) {
	t, err := c.ticketFor(c.pathID("id"), "read")
	if err != nil {
		return nil, err
	}
	if !c.may("ticket.agent") {
		return nil, forbidden("Not authorized")
	}
	return row{"history": nonNil(c.history.where("ticket_id", t.id())), "assets": row{}}, nil
}

func listPrivacyTasks(c *call) (any, error) { return nonNil(c.privacyTasks.all(nil)), nil }

func getPrivacyTask(c *call) (any, error) { return c.privacyTasks.find(c.pathID("id")) }

// createPrivacyTask queues the erasure of a user with all tickets (contract 00.8).
func createPrivacyTask(c *call) (any, error) {
	id := c.params.num("deletable_id")
	u, err := c.users.find(id)
	if err != nil {
		return nil, err
	}
	queued := c.privacyTasks.all(func(t row) bool { return t.num("deletable_id") == id && t.str("state") == "in process" })
	if len(queued) > 0 {
		return nil, invalid("Deletable has an existing DataPrivacyTask queued")
	}
	if c.params.object("preferences")["sure"] != "DELETE" {
		return nil, invalid("Sure is invalid")
	}
	numbers := func(column string) []any {
		out := []any{}
		for _, t := range c.tickets.all(func(t row) bool { return t.num(column) == id }) {
			out = append(out, t["number"])
		}
		return out
	}
	task := c.privacyTasks.insert(&c.tx, row{"state": "in process", "deletable_type": "User", "deletable_id": id,
		"preferences": map[string]any{"sure": "DELETE", "owner_tickets": numbers("owner_id"), "customer_tickets": numbers("customer_id"),
			"user": map[string]any{"firstname": pseudonym(u.str("firstname")), "lastname": pseudonym(u.str("lastname")), "email": pseudonym(u.str("email"))}},
		"updated_by_id": c.user.id(), "created_by_id": c.user.id(), "created_at": c.stamp(), "updated_at": c.stamp()})
	return answer{status: 201, body: task}, nil
}

// pseudonym keeps the first and last letter of each word.
func pseudonym(s string) string {
	if s == "" {
		return "*"
	}
	words := strings.Fields(s)
	for i, w := range words {
		r := []rune(w)
		words[i] = string(r[0]) + "*" + string(r[len(r)-1])
	}
	return strings.Join(words, " ")
}

// erase removes a user and the tickets of which it is the customer.
func (db *database) erase(x *tx, user int) {
	for _, t := range db.tickets.where("customer_id", user) {
		db.dropTicket(x, t.id())
	}
	db.users.remove(x, user)
}
