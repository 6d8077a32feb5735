package configs

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"
	"testing"

	"github.com/burstctl/burstctl/pools/cloud/catalog"
)

func TestEverySchemaCompilesAndDescribesEachKey(t *testing.T) {
	lib, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"controller", "edge", "job", "catalogue", "offers", "budgets", "transit", "reaper"} {
		if lib.compiled[kind] == nil {
			t.Errorf("no schema %s", kind)
		}
	}
	for file, doc := range lib.written {
		if doc["$id"] != schemaBase+file || doc["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s: $id %v, $schema %v", file, doc["$id"], doc["$schema"])
		}
		described(t, file, doc)
	}
}

// described checks that no mapping takes unknown keys and no key goes unexplained.
func described(t *testing.T, at string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if v["type"] == "object" && v["additionalProperties"] == nil {
			t.Errorf("%s takes unknown keys", at)
		}
		if _, subschema := v["const"]; !subschema {
			for key, p := range asMap(v["properties"]) {
				if at[max(0, len(at)-3):] != "/if" && asMap(p)["description"] == nil {
					t.Errorf("%s/%s has no description", at, key)
				}
			}
		}
		for key, child := range v {
			described(t, at+"/"+key, child)
		}
	case []any:
		for i, child := range v {
			described(t, at+"/"+strconv.Itoa(i), child)
		}
	}
}

func TestTheOffersThatShipConformToTheirSchema(t *testing.T) {
	lib, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(catalog.Demo)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	required, _ := lib.written["offers.schema.json"]["required"].([]any)
	if !slices.Equal(rows[0], texts(required)) {
		t.Errorf("header %q, schema %q", rows[0], required)
	}
	for i, row := range rows[1:] {
		v := map[string]any{}
		for j, cell := range row {
			v[rows[0][j]] = cell
		}
		if err := lib.compiled["offers"].Validate(v); err != nil {
			t.Errorf("line %d: %v", i+2, err)
		}
	}
}

func TestDidYouMeanFindsTheNearestWordOrNone(t *testing.T) {
	known := []string{"listen", "advertise", "heartbeat", "edge_key", "id"}
	for word, want := range map[string]string{"lisen": "listen", "LISTEN": "listen", "edgeKey": "edge_key",
		"edge-key": "edge_key",
		"hartbeat": "heartbeat", "budget": "", "xy": "", "": ""} {
		if got := near(word, known); got != want {
			t.Errorf("near %q = %q, want %q", word, got, want)
		}
	}
}
