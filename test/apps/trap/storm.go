// storm ADDRESS DIRECTORY - connections, datagrams and files from many goroutines, while the runtime preempts them with SIGURG all the
// time: at least 256 of each, and until more than 20 signals have been heard of.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
)

const goroutines, rounds, enough = 32, 8, 20 // rounds at least, signals more than

func main() {
	address, directory := os.Args[1], os.Args[2]
	var tries, tcp, udp, files, urgent atomic.Int64
	var over atomic.Bool
	caught := make(chan os.Signal, 64)
	signal.Notify(caught, syscall.SIGURG)
	go func() {
		for range caught {
			urgent.Add(1)
		}
	}()
	for range 2 * runtime.GOMAXPROCS(0) {
		go func() { // runs longer than 10 ms at a time: preempted by signal
			for n := 0; !over.Load(); n++ {
			}
		}()
	}
	go func() {
		for !over.Load() {
			runtime.GC()
		}
	}()
	var all sync.WaitGroup
	for g := range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for turn := 0; turn < rounds || urgent.Load() <= enough; turn++ {
				round := turn % rounds
				tries.Add(1)
				if c, err := net.Dial("tcp", address+":80"); err != nil {
					fmt.Println(err)
				} else {
					if data, err := io.ReadAll(c); err == nil && string(data) == "hello" && c.RemoteAddr().String() == address+":80" {
						tcp.Add(1)
					}
					c.Close()
				}
				if c, err := net.Dial("udp", address+":5000"); err != nil {
					fmt.Println(err)
				} else {
					text := fmt.Sprint(g, " ", round)
					back := make([]byte, 99)
					c.Write([]byte(text))
					if n, err := c.Read(back); err == nil && string(back[:n]) == text {
						udp.Add(1)
					}
					c.Close()
				}
				name := fmt.Sprintf("%d-%d", g, round)
				if data, err := os.ReadFile(directory + "/" + name); err == nil && string(data) == name {
					files.Add(1)
				}
			}
		}()
	}
	all.Wait()
	over.Store(true)
	made := tries.Load()
	fmt.Println("missing: tcp", made-tcp.Load(), "udp", made-udp.Load(), "files", made-files.Load())
}
