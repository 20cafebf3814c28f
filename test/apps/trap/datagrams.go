// datagrams ADDRESS - one datagram by each of Go's ways to exchange them with a remote end that sends all back.
package main

import (
	"fmt"
	"net"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	to, err := net.ResolveUDPAddr("udp", os.Args[1])
	check(err)
	buffer := make([]byte, 100)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{})
	check(err)
	_, err = conn.WriteToUDP([]byte("ping"), to)
	check(err)
	n, from, err := conn.ReadFromUDP(buffer)
	check(err)
	fmt.Printf("%s from %v\n", buffer[:n], from)
	_, _, err = conn.WriteMsgUDP([]byte("message"), nil, to)
	check(err)
	n, _, _, from, err = conn.ReadMsgUDP(buffer, make([]byte, 100))
	check(err)
	fmt.Printf("%s from %v\n", buffer[:n], from)
	dialled, err := net.Dial("udp", os.Args[1])
	check(err)
	_, err = dialled.Write([]byte("dialled"))
	check(err)
	n, err = dialled.Read(buffer)
	check(err)
	fmt.Printf("%s from %v\n", buffer[:n], dialled.RemoteAddr())
}
