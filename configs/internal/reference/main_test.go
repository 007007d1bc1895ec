// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

func TestTheReferenceIsCurrent(t *testing.T) {
	want, err := render(layout, configs.Keys())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("configs/reference.toml is not what the schema says: run go generate ./configs")
	}
}
