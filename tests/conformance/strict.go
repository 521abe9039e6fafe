package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	types020 "github.com/containernetworking/cni/pkg/types/020"
	types040 "github.com/containernetworking/cni/pkg/types/040"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/containernetworking/cni/pkg/version"
)

// shapes holds, for every version, an empty result of that version's own type.
var shapes = map[string]func() types.Result{
	"0.1.0": func() types.Result { return &types020.Result{} },
	"0.2.0": func() types.Result { return &types020.Result{} },
	"0.3.0": func() types.Result { return &types040.Result{} },
	"0.3.1": func() types.Result { return &types040.Result{} },
	"0.4.0": func() types.Result { return &types040.Result{} },
	"1.0.0": func() types.Result { return &types100.Result{} },
	"1.1.0": func() types.Result { return &types100.Result{} },
}

// strict reads one result document of the wanted version and writes its 1.1
// form. It refuses unknown or misspelt members at every depth, values that are
// not in their canonical form, anything after the document, and a result that
// cannot be converted to every version there is.
func strict(wanted string, in io.Reader, out io.Writer) error {
	shape, known := shapes[wanted]
	if !known {
		return fmt.Errorf("no such result version %q", wanted)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	result := shape()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(result); err != nil {
		return fmt.Errorf("not a %s result: %w", wanted, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("something follows the document (%v)", err)
	}
	if result.Version() != wanted {
		return fmt.Errorf("cniVersion is %q, want %q", result.Version(), wanted)
	}
	if _, err := create.Create(wanted, data); err != nil {
		return fmt.Errorf("not a %s result: %w", wanted, err)
	}
	if err := sameAfterRoundTrip(data, result); err != nil {
		return err
	}
	for _, other := range version.All.SupportedVersions() {
		if _, err := result.GetAsVersion(other); err != nil {
			return fmt.Errorf("does not convert to %s: %w", other, err)
		}
	}
	latest, err := types100.GetResult(result)
	if err != nil {
		return err
	}
	return latest.PrintTo(out)
}

// sameAfterRoundTrip compares the document with what its decoded form encodes
// to. DisallowUnknownFields alone sees only the outermost object: addresses
// and routes have decoders of their own, which skip what they do not know.
func sameAfterRoundTrip(data []byte, result types.Result) error {
	again, err := json.Marshal(result)
	if err != nil {
		return err
	}
	var given, kept any
	if err := json.Unmarshal(data, &given); err != nil {
		return err
	}
	if err := json.Unmarshal(again, &kept); err != nil {
		return err
	}
	return differ("", given, kept)
}

// differ names the first place where two JSON values part. An absent member
// and an empty list or object are the same: Go writes "dns": {} in some versions.
func differ(path string, given, kept any) error {
	if isEmpty(given) && isEmpty(kept) {
		return nil
	}
	left, isObject := given.(map[string]any)
	right, alsoObject := kept.(map[string]any)
	if isObject && alsoObject {
		for _, side := range []map[string]any{left, right} {
			for key := range side {
				if err := differ(path+"."+key, left[key], right[key]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	before, isList := given.([]any)
	after, alsoList := kept.([]any)
	if isList && alsoList && len(before) == len(after) {
		for i := range before {
			if err := differ(fmt.Sprintf("%s[%d]", path, i), before[i], after[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if reflect.DeepEqual(given, kept) {
		return nil
	}
	return fmt.Errorf("%s: given %v, decoded as %v", strings.TrimPrefix(path, "."), given, kept)
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
