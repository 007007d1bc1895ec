// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
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
	for _, name := range files {
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
