package admin

import "strconv"

// pageOf is what a page shows of a list that is in memory as a whole.
type pageOf[T any] struct {
	Rows           []T
	Earlier, Later int // the pages before and after; 0: there is none
}

// cut gives the page of a list that the request asks for, of listPage rows. The
// error is errNotFound if there is no such page; an empty list has one.
func cut[T any](r *Request, all []T) (pageOf[T], error) {
	last := max(1, (len(all)+listPage-1)/listPage)
	page, err := strconv.Atoi(r.DefaultQuery("page", "1"))
	if err != nil || page < 1 || page > last {
		return pageOf[T]{}, errNotFound
	}
	from := (page - 1) * listPage
	p := pageOf[T]{Rows: all[from:min(from+listPage, len(all))], Earlier: page - 1}
	if page < last {
		p.Later = page + 1
	}
	return p, nil
}
