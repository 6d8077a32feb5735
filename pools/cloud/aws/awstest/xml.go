package awstest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// element is a piece of an answer.
type element struct {
	XMLName  xml.Name
	Text     string     `xml:",chardata"`
	Children []*element `xml:",any"`
}

// el makes an element with children, or with the text of one string.
func el(name string, inner ...any) *element {
	e := &element{XMLName: xml.Name{Local: name}}
	for _, in := range inner {
		switch in := in.(type) {
		case *element:
			e.Children = append(e.Children, in)
		case []*element:
			e.Children = append(e.Children, in...)
		default:
			e.Text += fmt.Sprint(in)
		}
	}
	return e
}

// at follows a path of names; nil where there is none.
func (e *element) at(path ...string) *element {
	for _, name := range path {
		var next *element
		if e != nil {
			for _, c := range e.Children {
				if c.XMLName.Local == name {
					next = c
					break
				}
			}
		}
		e = next
	}
	return e
}

// text is the text at a path, "" where there is none.
func (e *element) text(path ...string) string {
	if e = e.at(path...); e == nil {
		return ""
	}
	return strings.TrimSpace(e.Text)
}

// set puts child in place of the one of its name.
func (e *element) set(child *element) {
	e.drop(child.XMLName.Local)
	e.Children = append(e.Children, child)
}

// drop takes the children of a name away.
func (e *element) drop(name string) {
	kept := e.Children[:0]
	for _, c := range e.Children {
		if c.XMLName.Local != name {
			kept = append(kept, c)
		}
	}
	e.Children = kept
}

// tidy takes name spaces and the blanks between elements away.
func (e *element) tidy() {
	e.XMLName.Space = ""
	if len(e.Children) > 0 {
		e.Text = ""
	}
	for _, c := range e.Children {
		c.tidy()
	}
}

// answer is what a call is answered with.
type answer struct {
	status int
	body   *element
	json   string // instead of body
}

// ok answers with a body.
func ok(body *element) answer { return answer{status: http.StatusOK, body: body} }

// no answers with an error as EC2 words it.
func no(status int, code, message string) answer {
	return answer{status: status, body: el("Response", el("Errors", el("Error", el("Code", code), el("Message", message))),
		el("RequestID", "00000000-0000-0000-0000-000000000000"))}
}

// write sends the answer.
func (a answer) write(w http.ResponseWriter) {
	if a.json != "" {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.json) // a client that left is no fault
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(a.status)
	_ = xml.NewEncoder(w).Encode(a.body)
}

// ask sends a call to ec2test and returns its own answer.
func (c *Cloud) ask(region, action string, form url.Values) answer {
	form = url.Values(cloneForm(form))
	form.Set("Action", action)
	form.Set("Version", "2014-10-01")
	resp, err := http.PostForm(c.backends[region], form)
	if err != nil {
		return no(http.StatusInternalServerError, "InternalError", "ec2test: "+err.Error())
	}
	defer resp.Body.Close()
	var e element
	if err := xml.NewDecoder(resp.Body).Decode(&e); err != nil {
		return no(http.StatusInternalServerError, "InternalError", "ec2test: "+err.Error())
	}
	e.tidy()
	return answer{status: resp.StatusCode, body: &e}
}

// cloneForm copies a form.
func cloneForm(f url.Values) url.Values {
	out := url.Values{}
	for k, v := range f {
		out[k] = append([]string(nil), v...)
	}
	return out
}
