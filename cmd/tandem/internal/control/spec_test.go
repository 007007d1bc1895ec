// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write openapi.json anew from the routes, the types and their comments")

// TestDescription: openapi.json is what the routes, the types of their messages and the comments of these say.
func TestDescription(t *testing.T) {
	text, err := json.MarshalIndent(describe(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if now, err := os.ReadFile("openapi.json"); err != nil || !bytes.Equal(now, text) {
		t.Errorf("openapi.json is not what the routes and types say: run go test ./cmd/tandem/internal/control -run TestDescription -update, and read the difference (%v)", err)
	}
}

// An object is a JSON object.
type object = map[string]any

// A describer makes the description of types.
type describer struct {
	t       *testing.T
	schemas object
	source  source
}

// describe makes the description of all routes.
func describe(t *testing.T) object {
	d := &describer{t, make(object), readSource(t)}
	paths := make(object)
	failure := d.content(Failure{})
	for _, r := range routes {
		who := "For all who may read."
		if r.access == changes {
			who = "For those who may change."
		}
		ok := object{"description": "Done."}
		switch {
		case r.answer != nil:
			ok["content"] = d.content(r.answer)
		default:
			ok["content"] = object{"text/event-stream": object{"schema": object{"type": "string"}}}
			d.schema(reflect.TypeFor[Event]())
		}
		op := object{
			"summary": r.summary, "description": who, "operationId": strings.ToLower(r.method) + strings.NewReplacer("/v1/", "_", "/", "_", ".", "_").Replace(r.path),
			"responses": object{"200": ok, "default": object{"description": "Not done, or not all of it. The body says why.", "content": failure}},
		}
		if r.body != nil {
			op["requestBody"] = object{"required": true, "content": d.content(r.body)}
		}
		var parameters []object
		for _, p := range r.parameters {
			schema := object{"type": "string"}
			if p.format != "" {
				schema["format"] = p.format
			}
			parameters = append(parameters, object{"in": "query", "name": p.name, "description": p.summary, "required": p.required, "schema": schema})
		}
		if parameters != nil {
			op["parameters"] = parameters
		}
		if paths[r.path] == nil {
			paths[r.path] = make(object)
		}
		paths[r.path].(object)[strings.ToLower(r.method)] = op
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "tandem", "version": "1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "The control socket of a director: HTTP over a unix socket. Later versions may add members, but never rename or remove one.",
		},
		"servers": []object{{"url": "http://tandem", "description": "curl --unix-socket /run/tandem/control.sock http://tandem/v1/status"}},
		"paths":   paths, "components": object{"schemas": d.schemas},
	}
}

func (d *describer) content(zero any) object {
	return object{"application/json": object{"schema": d.schema(reflect.TypeOf(zero))}}
}

// schema returns the schema of a type. Structs become components.
func (d *describer) schema(of reflect.Type) object {
	switch of {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix]():
		return object{"type": "string"}
	}
	switch of.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{d.schema(of.Elem()), {"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(of.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(of.Elem())}
	case reflect.Interface:
		return object{}
	case reflect.String:
		if values := d.source.values[of.Name()]; len(values) > 0 {
			return object{"type": "string", "enum": values}
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Struct:
		return d.component(of)
	}
	d.t.Fatalf("the description has no form for a %s", of)
	return nil
}

func (d *describer) component(of reflect.Type) object {
	name := of.Name()
	ref := object{"$ref": "#/components/schemas/" + name}
	if d.schemas[name] != nil {
		return ref
	}
	properties, required := make(object), []string{}
	is := object{"type": "object", "properties": properties}
	d.schemas[name] = is
	if doc := d.source.docs[name]; doc != "" {
		is["description"] = doc
	}
	for _, f := range fieldsOf(of) {
		name := f.of.Name()
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" || !f.IsExported() {
			d.t.Fatalf("%s.%s has no name in JSON", name, f.Name)
		}
		schema := d.schema(f.Type)
		if doc := d.source.docs[name+"."+f.Name]; doc != "" {
			schema["description"] = doc
		}
		properties[tag] = schema
		if options == "" {
			required = append(required, tag)
		}
	}
	if len(required) > 0 {
		is["required"] = required
	}
	return ref
}

// A field is one of a struct, or of a struct that this embeds.
type field struct {
	of reflect.Type
	reflect.StructField
}

func fieldsOf(of reflect.Type) (all []field) {
	for i := range of.NumField() {
		if f := of.Field(i); f.Anonymous {
			all = append(all, fieldsOf(f.Type)...)
		} else {
			all = append(all, field{of, f})
		}
	}
	return all
}

// A source has the comments of types and of their fields ("Status", "Status.Name"), and the values of types of strings.
type source struct {
	docs   map[string]string
	values map[string][]string
}

func readSource(t *testing.T) source {
	s := source{make(map[string]string), make(map[string][]string)}
	files, err := filepath.Glob("api/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of package api: %v", err)
	}
	for _, name := range append(files, "server.go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range gen.Specs {
					s.read(gen, spec)
				}
			}
		}
	}
	return s
}

func (s source) read(gen *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		s.docs[spec.Name.Name] = plain(gen.Doc, spec.Comment)
		if is, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range is.Fields.List {
				for _, name := range f.Names {
					s.docs[spec.Name.Name+"."+name.Name] = plain(f.Doc, f.Comment)
				}
			}
		}
	case *ast.ValueSpec:
		of, _ := spec.Type.(*ast.Ident)
		if gen.Tok != token.CONST || of == nil || len(spec.Values) != 1 {
			return
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			value, _ := strconv.Unquote(lit.Value)
			s.values[of.Name] = append(s.values[of.Name], value)
		}
	}
}

// plain joins comments to one line.
func plain(groups ...*ast.CommentGroup) string {
	var words []string
	for _, g := range groups {
		words = append(words, strings.Fields(g.Text())...)
	}
	return strings.Join(words, " ")
}

// TestAnswersFitTheDescription: whatever a director may answer, with all members and with none, is as openapi.json says.
func TestAnswersFitTheDescription(t *testing.T) {
	var all struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema object }
			}
		}
		Components struct{ Schemas map[string]object }
	}
	if err := json.Unmarshal(spec, &all); err != nil {
		t.Fatal(err)
	}
	check := func(what string, value any, schema object) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, problem := range misfits(what, got, schema, all.Components.Schemas) {
			t.Error(problem)
		}
	}
	for _, r := range routes {
		answers := all.Paths[r.path][strings.ToLower(r.method)].Responses
		if r.answer == nil || r.path == specPath {
			continue
		}
		full := reflect.New(reflect.TypeOf(r.answer)).Elem()
		fill(full)
		check(r.path, full.Interface(), answers["200"].Content["application/json"].Schema)
		var f Failure
		fill(reflect.ValueOf(&f).Elem())
		check(r.path, f, answers["default"].Content["application/json"].Schema)
	}
	if misfits("x", object{"problems": []any{}, "more": 1.0}, object{"$ref": "#/components/schemas/Failure"}, all.Components.Schemas) == nil {
		t.Error("a member that is not described is not noticed")
	}
}

// fill sets all members of a value.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.1")))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.1/24")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
		switch v.Interface().(type) {
		case Action:
			v.SetString(string(Drain))
		case EventKind:
			v.SetString("order")
		case Harm:
			v.SetString("none")
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1.5)
	}
}

// misfits returns how a value differs from its schema.
func misfits(at string, value any, schema object, schemas map[string]object) (all []string) {
	if ref, ok := schema["$ref"].(string); ok {
		return misfits(at, value, schemas[strings.TrimPrefix(ref, "#/components/schemas/")], schemas)
	}
	if either, ok := schema["anyOf"].([]any); ok {
		if value == nil {
			return nil
		}
		return misfits(at, value, either[0].(object), schemas)
	}
	is := map[string]bool{}
	switch v := value.(type) {
	case string:
		is["string"] = true
		if values, ok := schema["enum"].([]any); ok && !slices.Contains(values, value) {
			all = append(all, fmt.Sprintf("%s is %q: not one of %v", at, v, values))
		}
	case float64:
		is["number"], is["integer"] = true, v == float64(int64(v))
	case bool:
		is["boolean"] = true
	case []any:
		is["array"] = true
		for i, e := range v {
			items, _ := schema["items"].(object)
			all = append(all, misfits(fmt.Sprintf("%s[%d]", at, i), e, items, schemas)...)
		}
	case object:
		is["object"] = true
		properties, _ := schema["properties"].(object)
		for name, e := range v {
			if property, ok := properties[name].(object); ok {
				all = append(all, misfits(at+"."+name, e, property, schemas)...)
			} else if any, ok := schema["additionalProperties"].(object); ok {
				all = append(all, misfits(at+"."+name, e, any, schemas)...)
			} else {
				all = append(all, at+"."+name+" is not described")
			}
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				all = append(all, fmt.Sprintf("%s has no %s", at, name))
			}
		}
	}
	if want, _ := schema["type"].(string); !is[want] {
		all = append(all, fmt.Sprintf("%s is %v: want %q", at, value, want))
	}
	return all
}

// A recorder is a transport that notes the requests of a client.
type recorder map[string]bool

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r[req.Method+" "+req.URL.Path] = true
	return nil, os.ErrNotExist
}

// TestTheClientIsTheWholeInterface: the client that the commands use has a method for each route, and asks for nothing else.
func TestTheClientIsTheWholeInterface(t *testing.T) {
	asked := make(recorder)
	c := NewClient("/nowhere")
	c.http.Transport = asked
	ctx := reflect.ValueOf(t.Context())
	for i := range reflect.TypeOf(c).NumMethod() {
		method := reflect.ValueOf(c).Method(i)
		in := []reflect.Value{ctx}
		for j := 1; j < method.Type().NumIn(); j++ {
			in = append(in, reflect.Zero(method.Type().In(j)))
		}
		method.Call(in)
	}
	for _, r := range routes {
		if name := r.method + " " + r.path; !asked[name] && r.path != specPath {
			t.Errorf("the client has no method for %s", name)
		}
		delete(asked, r.method+" "+r.path)
	}
	if len(asked) > 0 {
		t.Errorf("the client asks for %v, which no route answers", asked)
	}
}

// TestEachRouteIsServed: also the description itself, and no answer to a question is a failure.
func TestEachRouteIsServed(t *testing.T) {
	c := serve(t, &fakeDirector{})
	for _, r := range routes {
		if r.method != http.MethodGet || r.path == eventsPath {
			continue
		}
		body, err := c.do(t.Context(), r.method, r.path, nil)
		if err != nil {
			t.Errorf("%s: %v", r.path, err)
		}
		if r.path == specPath && !bytes.Equal(body, spec) {
			t.Errorf("the description that is served is not the file")
		}
	}
}
