// names HOST MISSING - what Go's own resolver makes of names, and the files that it reads; every line begins with `go`.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

func main() {
	resolver := net.Resolver{PreferGo: true}
	addresses, err := resolver.LookupHost(context.Background(), os.Args[1])
	fmt.Println("go found", strings.Join(addresses, " "), err)
	_, err = resolver.LookupHost(context.Background(), os.Args[2])
	var failure *net.DNSError
	fmt.Println("go missing", errors.As(err, &failure) && failure.IsNotFound)
	for _, path := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		text, err := os.ReadFile(path)
		if err != nil {
			text = []byte(err.Error())
		}
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			fmt.Printf("go %s: %s\n", path, strings.ReplaceAll(line, "\t", " "))
		}
	}
}
