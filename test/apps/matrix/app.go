// The matrix program in Go; README.md says what the steps do.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"
)

var name = "Go"

func tcp(text string) (string, error) {
	c, err := net.DialTimeout("tcp", text, 20*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	fmt.Fprintln(c, "ping")
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}
func udp(text string) (string, error) {
	c, err := net.Dial("udp", text)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write([]byte("ping"))
	b := make([]byte, 100)
	n, err := c.Read(b)
	return string(b[:n]), err
}
func udpto(text string) (string, error) {
	to, err := net.ResolveUDPAddr("udp", text)
	if err != nil {
		return "", err
	}
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.WriteTo([]byte("ping"), to)
	b := make([]byte, 100)
	n, from, err := c.ReadFromUDP(b)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s from %s", b[:n], net.JoinHostPort(strings.TrimPrefix(from.IP.String(), "::ffff:"), fmt.Sprint(from.Port))), nil
}
func dns(host string) (string, error) {
	ips, err := net.LookupIP(host)
	for _, ip := range ips {
		if ip.To4() != nil {
			return ip.String(), nil
		}
	}
	return "", err
}
func srv(host string) (string, error) {
	_, records, err := net.LookupSRV("", "", host)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(records[0].Port), nil
}
func read(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
func stat(path string) (string, error) {
	s, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %o", s.Size(), s.Mode().Perm()), nil
}
func list(path string) (string, error) {
	entries, err := os.ReadDir(path)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	sort.Strings(names)
	return strings.Join(names, ","), err
}
func write(path string) (string, error) {
	if err := os.WriteFile(path, []byte("written by "+name+"\n"), 0o644); err != nil {
		return "", err
	}
	return read(path)
}
func child(path string) (string, error) {
	b, err := exec.Command("cat", path).Output()
	return strings.TrimSpace(string(b)), err
}
func serve(port string) (string, error) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return "", err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "%s peer %s", name, host)
	}))
	<-ended
	return "sigterm", nil
}

func main() {
	steps := map[string]func(string) (string, error){
		"tcp": tcp, "tcp6": tcp, "refused": tcp, "unreachable": tcp, "udp": udp, "udpto": udpto, "dns": dns, "srv": srv,
		"read": read, "missing": read, "stat": stat, "list": list, "write": write, "child": child, "serve": serve,
	}
	for _, word := range os.Args[1:] {
		step, value, _ := strings.Cut(word, "=")
		if step == "name" {
			name = value
			continue
		}
		result, err := steps[step](value)
		if err != nil {
			result = err.Error()
		}
		fmt.Println(step, result)
	}
}
