package prices_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/pricing"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/pools/cloud/catalog"
	"github.com/burstctl/burstctl/pools/cloud/catalog/prices"
)

var today = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func usd(micros int64) policy.Money { return policy.Money{Micros: micros, Currency: "USD"} }

func carried(t *testing.T) []policy.Offer {
	t.Helper()
	all, err := catalog.Carried()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// byKey is the offers by name.
func byKey(all []policy.Offer) map[string]policy.Offer {
	m := map[string]policy.Offer{}
	for _, o := range all {
		m[o.Key()] = o
	}
	return m
}

// azure serves the answers on file, one page after the other.
func azure(t *testing.T, change func(page int, text string) (int, string)) *httptest.Server {
	t.Helper()
	var srv *httptest.Server
	asked := map[string]int{}
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := "1"
		if r.URL.Query().Get("$skip") != "" {
			page = "2"
		} else if f := r.URL.Query().Get("$filter"); !strings.Contains(f, "armRegionName eq 'germanywestcentral'") {
			t.Errorf("asked for %q", f)
		}
		asked[page]++
		b, err := os.ReadFile("testdata/azure-" + page + ".json")
		if err != nil {
			t.Error(err)
		}
		status, text := change(asked[page], strings.ReplaceAll(string(b), "https://prices.azure.com:443", srv.URL))
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func asIs(_ int, text string) (int, string) { return http.StatusOK, text }

func TestAzuresAnswersBecomeOffersOfToday(t *testing.T) {
	srv := azure(t, asIs)
	all, err := prices.Azure(t.Context(), srv.Client(), srv.URL, []string{"germanywestcentral"}, carried(t), today)
	if err != nil {
		t.Fatal(err)
	}
	got := byKey(all)
	plain, spot := got["azure/germanywestcentral Standard_NC24ads_A100_v4"],
		got["azure/germanywestcentral Standard_NC24ads_A100_v4 spot"]
	if plain.PerHour != usd(4_775_000) || plain.GPUs != 1 || plain.AsOf != "2026-11-25" || plain.Source == "" {
		t.Errorf("on demand: %+v", plain)
	}
	if spot.PerHour != usd(955_000) || spot.AtMost != plain.PerHour {
		t.Errorf("spot: %+v", spot)
	}
	if d := got["azure/germanywestcentral Standard_NC8as_T4_v3"]; d.PerHour.Known() {
		t.Errorf("two prices became one: %+v", d)
	}
	if len(all) != 3 { // with a spot machine whose price nothing bounds
		t.Errorf("%d offers: %v", len(all), got)
	}
	if lone := got["azure/germanywestcentral Standard_NC48ads_A100_v4 spot"]; lone.Type == "" || lone.PerHour.Known() {
		t.Errorf("a spot price without a bound: %+v", lone)
	}
}

func TestABusyOrABrokenAnswerIsAskedAgainOrSaid(t *testing.T) {
	busy := azure(t, func(n int, text string) (int, string) {
		if n == 1 {
			return http.StatusTooManyRequests, ""
		}
		return http.StatusOK, text
	})
	if all, err := prices.Azure(t.Context(), busy.Client(), busy.URL, []string{"germanywestcentral"}, carried(t),
		today); err != nil || len(all) == 0 {
		t.Errorf("after being busy: %d offers, %v", len(all), err)
	}
	for name, answer := range map[string]string{
		"no JSON":            "<html>",
		"the next elsewhere": `{"Items":[],"NextPageLink":"https://prices.example.com/next"}`,
		"the next to itself": `{"Items":[],"NextPageLink":"SELF"}`,
	} {
		var srv *httptest.Server
		srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.ReplaceAll(answer, "SELF", srv.URL))
		}))
		all, err := prices.Azure(t.Context(), srv.Client(), srv.URL, []string{"germanywestcentral"}, carried(t), today)
		srv.Close()
		if err == nil {
			t.Errorf("%s: %d offers", name, len(all))
		}
	}
}

// aws serves GetProducts: every machine has one entry a page, of those on file.
func aws1(t *testing.T) *pricing.Client {
	t.Helper()
	entries, err := os.ReadFile("testdata/aws-products.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var in struct {
			NextToken string
			Filters   []struct{ Field, Value string }
		}
		if err := json.Unmarshal(body, &in); err != nil || r.Header.Get("X-Amz-Target") != "AWSPriceListService.GetProducts" {
			t.Errorf("asked %s %s", r.Header.Get("X-Amz-Target"), body)
		}
		var list []string
		for line := range strings.Lines(string(entries)) {
			if strings.Contains(line, `"instanceType":"`+in.Filters[0].Value+`"`) {
				list = append(list, strings.TrimSpace(line))
			}
		}
		answer := map[string]any{"FormatVersion": "aws_v1", "PriceList": list}
		if len(list) > 1 && in.NextToken == "" {
			answer["PriceList"], answer["NextToken"] = list[:1], "more"
		} else if in.NextToken != "" {
			answer["PriceList"] = list[1:]
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(srv.Close)
	return pricing.New(pricing.Options{Region: "eu-central-1", BaseEndpoint: aws.String(srv.URL),
		Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""), RetryMaxAttempts: 1})
}

func TestAWSsAnswersBecomeOffersOfToday(t *testing.T) {
	all, err := prices.AWS(t.Context(), aws1(t), []string{"eu-central-1", "us-east-1"}, carried(t), today)
	if err != nil {
		t.Fatal(err)
	}
	got := byKey(all)
	g5 := got["aws/eu-central-1 g5.xlarge"]
	if g5.PerHour != usd(1_258_000) || g5.GPUs != 1 || g5.GPU != "A10G" || g5.AsOf != "2026-11-25" {
		t.Errorf("g5: %+v", g5)
	}
	if got["aws/us-east-1 g5.xlarge"].PerHour != usd(1_006_000) || len(all) != 2 {
		t.Errorf("%d offers: %v", len(all), got)
	}
}

func TestAWSThatDoesNotAnswerIsSaid(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if all, err := prices.AWS(ctx, aws1(t), []string{"eu-central-1"}, carried(t), today); err == nil {
		t.Errorf("%d offers of nobody", len(all))
	}
}
