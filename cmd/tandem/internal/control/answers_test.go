// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/client"
)

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
	c := client.NewOver("/nowhere", asked)
	ctx := reflect.ValueOf(t.Context())
	for i := range reflect.TypeOf(c).NumMethod() {
		if reflect.TypeOf(c).Method(i).Name == "Do" {
			continue // for any request
		}
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
		body, err := c.Do(t.Context(), r.method, r.path, nil)
		if err != nil {
			t.Errorf("%s: %v", r.path, err)
		}
		if r.path == specPath && !bytes.Equal(body, spec) {
			t.Errorf("the description that is served is not the file")
		}
	}
}
