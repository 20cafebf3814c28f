# The matrix program in Ruby; README.md says what the steps do.
require 'resolv'
require 'socket'
$stdout.sync = true
name = 'Ruby'

def address(text)
  host, _, port = text.rpartition(':')
  [host.delete('[]'), port.to_i]
end

def tcp(text)
  s = TCPSocket.new(*address(text))
  s.puts 'ping'
  s.gets.strip
ensure
  s&.close
end

def udp(text, connected)
  host, port = address(text)
  found = Addrinfo.udp(host, port)
  s = UDPSocket.new(found.afamily)
  if connected
    s.connect(found.ip_address, port)
    s.send('ping', 0)
  else
    s.send('ping', 0, found.ip_address, port)
  end
  raise 'no answer' unless s.wait_readable(10)
  data, source = s.recvfrom(100)
  connected ? data : "#{data} from #{source[3]}:#{source[1]}"
ensure
  s&.close
end

def serve(name, port)
  server = TCPServer.new('::', port)
  ended = Queue.new
  trap('TERM') { Thread.new { ended << true } }
  Thread.new do
    loop do
      s = server.accept
      begin
        peer = s.remote_address.ip_address.sub('::ffff:', '')
        s.readpartial(4096)
        body = "#{name} peer #{peer}"
        s.write "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}"
      rescue EOFError, SystemCallError
        nil # the kubelet's probe connects and says nothing
      ensure
        s.close
      end
    end
  end
  ended.pop
  'sigterm'
end

ARGV.each do |word|
  step, value = word.split('=', 2)
  if step == 'name'
    name = value
    next
  end
  result =
    begin
      case step
      when 'tcp', 'tcp6', 'refused', 'unreachable' then tcp(value)
      when 'udp' then udp(value, true)
      when 'udpto' then udp(value, false)
      when 'dns' then Addrinfo.getaddrinfo(value, nil, :INET).first.ip_address
      when 'srv' then Resolv::DNS.open { |dns| dns.getresource(value, Resolv::DNS::Resource::IN::SRV).port }
      when 'read', 'missing' then File.read(value).strip
      when 'stat' then (s = File.stat(value)) && "#{s.size} #{(s.mode & 0o7777).to_s(8)}"
      when 'list' then Dir.children(value).sort.join(',')
      when 'write'
        File.write(value, "written by #{name}\n")
        File.read(value).strip
      when 'child' then IO.popen(['cat', value], &:read).strip
      else serve(name, value.to_i)
      end
    rescue StandardError => e
      e.message
    end
  puts "#{step} #{result}"
end
