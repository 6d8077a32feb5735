package cost

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const billHead = "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ConsumedQuantity," +
	"ConsumedUnit,ProviderName,RegionId,ResourceId,ServiceCategory,Tags\n"

// billRow is a row of an hour of a machine.
func billRow(cost, from, to, hours, region, resource string) string {
	return strings.Join([]string{cost, "USD", "Usage", from, to, hours, "Hours", "Amazon Web Services", region, resource,
		"Compute", `"{""user:burst"":""1""}"`}, ",") + "\n"
}

const (
	oct31 = "2026-10-31T00:00:00Z"
	nov1  = "2026-11-01T00:00:00Z"
	nov2  = "2026-11-02T00:00:00Z"
	arn   = "arn:aws:ec2:eu-central-1:111122223333:instance/i-c-1"
)

func reconciled(t *testing.T, l *log, o Options, rows ...string) Reconciled {
	t.Helper()
	r := l.book.Reconcile(o)
	if err := ReadBill(strings.NewReader(billHead+strings.Join(rows, "")), r.Add); err != nil {
		t.Fatal(err)
	}
	return r.Result()
}

func TestAMachineOnTheBillIsInTheLogWhereItIsBilledOrItIsAViolation(t *testing.T) {
	l := twoBursts(t)
	good := []string{billRow("6.0", oct31, nov1, "1", "eu-central-1", arn),
		billRow("6.0", nov1, nov2, "1", "eu-central-1", arn), billRow("1.5", nov1, nov2, "1.5", "eu-west-1", "i-C-2")}
	if got := reconciled(t, l, Options{}, good...); got.Matched != 2 || len(got.Violations) != 0 ||
		len(got.Differ) != 0 || got.Billed != usd(13.5e6) {
		t.Errorf("%+v", got)
	}
	for name, tc := range map[string]struct{ row, text string }{
		"nobody launched it": {billRow("3", nov1, nov2, "1", "us-east-1", "i-stranger"), "no entry of the log launched"},
		"elsewhere":          {billRow("3", nov1, nov2, "1", "us-east-1", "i-c-1"), "and launched in eu-central-1"},
		"after it was gone":  {billRow("3", nov2, "2026-11-03T00:00:00Z", "1", "eu-central-1", "i-c-1"), "proven gone"},
	} {
		got := reconciled(t, l, Options{Percent: 100}, append(good, tc.row)...)
		if len(got.Violations) != 1 || !strings.Contains(got.Violations[0].Text, tc.text) || got.Violations[0].Row != 5 {
			t.Errorf("%s: %+v", name, got.Violations)
		}
	}
	// With a tag, what does not carry it is somebody else's.
	stranger := strings.Replace(billRow("3", nov1, nov2, "1", "us-east-1", "i-stranger"), "user:burst", "user:web", 1)
	got := reconciled(t, l, Options{Tag: "burst"}, append(good, stranger)...)
	if len(got.Violations) != 0 || got.Others != 1 {
		t.Errorf("%+v", got)
	}
}

func TestDifferencesAndWhatWasNotBilledAreListed(t *testing.T) {
	l := twoBursts(t)
	dear := billRow("13.0", oct31, nov2, "2", "eu-central-1", arn)
	got := reconciled(t, l, Options{Percent: 5}, dear)
	if len(got.Differ) != 1 || got.Differ[0].Text != "cost: billed +8.3 % against the log" || len(got.Unbilled) != 1 ||
		got.Unbilled[0].Claim != "c-2" {
		t.Errorf("%+v", got)
	}
	if got := reconciled(t, l, Options{Percent: 10}, dear); len(got.Differ) != 0 {
		t.Errorf("within ten percent: %+v", got.Differ)
	}
	long := billRow("12.0", oct31, nov2, "3", "eu-central-1", arn)
	if got := reconciled(t, l, Options{Percent: 5}, long).Differ; len(got) != 1 || got[0].BilledBy != 3*time.Hour {
		t.Errorf("%+v", got)
	}
	euro := strings.Replace(dear, "USD", "EUR", 1)
	other := reconciled(t, l, Options{Percent: 99}, euro).Differ
	if len(other) != 1 || !strings.Contains(other[0].Text, "currency") {
		t.Errorf("%+v", other)
	}
	// A disk and a tax are no machines.
	disk := strings.Replace(dear, "Compute", "Storage", 1)
	got = reconciled(t, l, Options{}, disk, strings.Replace(dear, "Usage", "Tax", 1))
	if got.Machines != 0 || got.Others != 2 {
		t.Errorf("%+v", got)
	}
}

func TestABillIsReadWholeOrItsFirstMistakeIsNamed(t *testing.T) {
	row := billRow("6.0", oct31, nov1, "1", "eu-central-1", arn)
	with := func(old, new string) string { return billHead + strings.Replace(row, old, new, 1) }
	for name, tc := range map[string]struct{ text, want string }{
		"an empty file":             {"", "1:1: the file is empty"},
		"another file":              {"a,b\n1,2\n", "1:1: column BilledCost is missing"},
		"a column twice":            {"BilledCost,BilledCost\n", `1:12: column "BilledCost" is there twice`},
		"a short row":               {billHead + "1,2\n", "2:1: wrong number of fields"},
		"a quote in a cell":         {billHead + `1"2` + row, `2:2: bare " in non-quoted`},
		"a cost that is none":       {with("\n", "\n"+strings.Replace(row, "6.0", "six", 1)), `3:1: BilledCost "six" is no`},
		"a cost without end":        {with("6.0", "1E999"), `2:1: BilledCost "1E999" is no amount`},
		"no cost":                   {with("6.0", ""), `2:1: BilledCost "" is no amount`},
		"a fraction":                {with("6.0", "1/3"), `2:1: BilledCost "1/3" is no amount`},
		"a currency that is none":   {with("USD", "$"), `2:5: BillingCurrency "$" is no currency`},
		"a day that is none":        {with(oct31, "2026-02-30"), "2:15: ChargePeriodStart"},
		"an end before its start":   {with(nov1, "2020-01-01T00:00:00Z"), "is before ChargePeriodStart"},
		"a negative time":           {with(",1,Hours", ",-1,Hours"), "ConsumedQuantity \"-1\" is no quantity"},
		"tags that are no object":   {with(`"{""user:burst"":""1""}"`, "[1]"), "Tags are no JSON object"},
		"a cell longer than a book": {with(arn, strings.Repeat("x", maxField+1)), "more than 65536 bytes"},
	} {
		err := ReadBill(strings.NewReader(tc.text), func(Row) {})
		if _, ok := errors.AsType[*BillError](err); !ok || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	for cell, want := range map[string]int64{"0.0000014": 1, "1.2E-5": 12, "-3": -3e6, "12": 12e6} {
		var got []Row
		if err := ReadBill(strings.NewReader(with("6.0", cell)), func(r Row) {
			got = append(got, r)
		}); err != nil || got[0].Cost.Micros != want {
			t.Errorf("%s: %v, %v", cell, got, err)
		}
	}
}

func FuzzReadBill(f *testing.F) {
	f.Add(billHead + billRow("6.0", oct31, nov1, "1", "eu-central-1", arn))
	f.Add(billHead + `"1`)
	f.Add("\ufeff" + billHead + billRow("1e-30", nov1, nov1, "", "", ""))
	f.Fuzz(func(t *testing.T, text string) {
		l := twoBursts(t)
		r := l.book.Reconcile(Options{Percent: 5})
		err := ReadBill(strings.NewReader(text), func(row Row) {
			if row.To.Before(row.From) || len(row.Cost.Currency) != 3 || row.Line < 2 {
				t.Errorf("row %+v", row)
			}
			r.Add(row)
		})
		if bad, ok := errors.AsType[*BillError](err); err != nil && (!ok || bad.Line < 1 || bad.Col < 1) {
			t.Errorf("%v says no place", err)
		}
		out := r.Result()
		if out.Matched+len(out.Violations) < out.Machines {
			t.Errorf("a machine is neither matched nor a violation: %+v", out)
		}
	})
}
