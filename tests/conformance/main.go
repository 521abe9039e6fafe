// Command conformance is a container runtime in miniature: it drives a CNI
// network list with libcni, as containerd and CRI-O do, and decodes results
// as strictly as the specification is written.
//
// A plugin's error document goes to stdout as {"code","msg","details"} with
// exit status 1, so that a test can look at it. Whatever else goes wrong is
// text on stderr with exit status 2, and can never be taken for a plugin's
// answer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

const usage = "usage: conformance add|check|del|gc|status -conf FILE [flags] | conformance strict VERSION < RESULT"

// request is one call of the runtime, as its flags describe it.
type request struct {
	verb  string
	list  *libcni.NetworkConfigList
	conf  libcni.RuntimeConf
	cni   *libcni.CNIConfig
	valid *libcni.GCArgs
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		os.Exit(report(err))
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	if args[0] == "strict" {
		if len(args) != 2 {
			return errors.New(usage)
		}
		return strict(args[1], os.Stdin, os.Stdout)
	}
	request, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	return request.do(context.Background())
}

// pairs collects repeated -arg k=v flags in the order given.
type pairs [][2]string

func (p *pairs) String() string { return fmt.Sprint([][2]string(*p)) }

func (p *pairs) Set(text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("want KEY=VALUE, got %q", text)
	}
	*p = append(*p, [2]string{key, value})
	return nil
}

func parse(verb string, args []string) (*request, error) {
	r := &request{verb: verb}
	var arguments pairs
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	file := flags.String("conf", "", "network configuration list (a .conflist file)")
	bin := flags.String("bin", "", "folders of plugins, separated by colons")
	cache := flags.String("cache", "", "folder where libcni remembers results")
	capabilities := flags.String("cap", "", "capability arguments, a JSON object")
	valid := flags.String("valid", "", "gc: valid attachments, a JSON list or null; without the flag no list is sent")
	flags.StringVar(&r.conf.ContainerID, "id", "", "container ID")
	flags.StringVar(&r.conf.NetNS, "netns", "", "path of the network namespace")
	flags.StringVar(&r.conf.IfName, "ifname", "eth0", "name of the interface in the container")
	flags.Var(&arguments, "arg", "one pair of CNI_ARGS, KEY=VALUE; may be repeated")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected arguments %q", flags.Args())
	}
	var err error
	if r.list, err = libcni.NetworkConfFromFile(*file); err != nil {
		return nil, err
	}
	r.conf.Args = arguments
	if *capabilities != "" {
		if err := json.Unmarshal([]byte(*capabilities), &r.conf.CapabilityArgs); err != nil {
			return nil, fmt.Errorf("-cap: %w", err)
		}
	}
	// No list, an empty list and null are three different messages to a plugin.
	if *valid != "" {
		r.valid = &libcni.GCArgs{}
		if err := json.Unmarshal([]byte(*valid), &r.valid.ValidAttachments); err != nil {
			return nil, fmt.Errorf("-valid: %w", err)
		}
	}
	r.cni = libcni.NewCNIConfigWithCacheDir(filepath.SplitList(*bin), *cache, nil)
	return r, nil
}

func (r *request) do(ctx context.Context) error {
	switch r.verb {
	case "add":
		result, err := r.cni.AddNetworkList(ctx, r.list, &r.conf)
		if err != nil {
			return err
		}
		return result.Print()
	case "check":
		return r.cni.CheckNetworkList(ctx, r.list, &r.conf)
	case "del":
		return r.cni.DelNetworkList(ctx, r.list, &r.conf)
	case "gc":
		return r.cni.GCNetworkList(ctx, r.list, r.valid)
	case "status":
		return r.cni.GetStatusNetworkList(ctx, r.list)
	}
	return fmt.Errorf("unknown command %q; %s", r.verb, usage)
}

// report says what went wrong and returns the exit status for it.
func report(err error) int {
	fmt.Fprintln(os.Stderr, err)
	var plugin *types.Error
	if !errors.As(err, &plugin) {
		return 2
	}
	document := map[string]any{"code": plugin.Code, "msg": plugin.Msg, "details": plugin.Details}
	if err := json.NewEncoder(os.Stdout).Encode(document); err != nil {
		return 2
	}
	return 1
}
