<?php
// The matrix program in PHP; README.md says what the steps do. Needs the sockets extension only for serve's peer, which streams have too.
$name = 'PHP';
error_reporting(E_ALL);
set_error_handler(function ($level, $text) { throw new Exception($text); });

function tcp($text) {
    $s = stream_socket_client("tcp://$text", $code, $error, 20);
    fwrite($s, "ping\n");
    return trim(fgets($s));
}
function udp($text) {
    $s = stream_socket_client("udp://$text", $code, $error, 10);
    stream_set_timeout($s, 10);
    fwrite($s, 'ping');
    return fread($s, 100);
}
function udpto($text) {
    preg_match('/^(.*):(\d+)$/', $text, $m);
    $to = gethostbyname($m[1]) . ':' . $m[2];
    $s = stream_socket_server('udp://0.0.0.0:0', $code, $error, STREAM_SERVER_BIND);
    stream_socket_sendto($s, 'ping', 0, $to);
    $read = [$s]; $none = null;
    if (!stream_select($read, $none, $none, 10)) return 'no answer';
    $data = stream_socket_recvfrom($s, 100, 0, $source);
    return "$data from $source";
}
function names($path) {
    $names = array_values(array_diff(scandir($path), ['.', '..']));
    sort($names, SORT_STRING);
    return implode(',', $names);
}
function serve($name, $port) {
    $l = stream_socket_server("tcp://[::]:$port");
    $ended = false;
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, function () use (&$ended) { $ended = true; });
    while (!$ended) {
        try {
            $s = stream_socket_accept($l, 1, $peer);
        } catch (Exception $e) {
            continue; // nobody within a second
        }
        $peer = str_replace(['[', ']', '::ffff:'], '', preg_replace('/:\d+$/', '', $peer));
        fread($s, 4096);
        $body = "$name peer $peer";
        fwrite($s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . strlen($body) . "\r\n\r\n$body");
        fclose($s);
    }
    return 'sigterm';
}
function step($name, $step, $value) {
    switch ($step) {
        case 'tcp': case 'tcp6': case 'refused': case 'unreachable': return tcp($value);
        case 'udp': return udp($value);
        case 'udpto': return udpto($value);
        case 'dns': return gethostbyname($value);
        case 'srv': return dns_get_record($value, DNS_SRV)[0]['port'];
        case 'read': case 'missing': return trim(file_get_contents($value));
        case 'stat': $s = stat($value); return $s['size'] . ' ' . decoct($s['mode'] & 07777);
        case 'list': return names($value);
        case 'write': file_put_contents($value, "written by $name\n"); clearstatcache(); return trim(file_get_contents($value));
        case 'child': return trim(shell_exec('cat ' . escapeshellarg($value)));
        default: return serve($name, $value);
    }
}
foreach (array_slice($argv, 1) as $word) {
    [$step, $value] = explode('=', $word, 2);
    if ($step === 'name') { $name = $value; continue; }
    try {
        $result = step($name, $step, $value);
    } catch (Throwable $e) {
        $result = $e->getMessage();
    }
    echo "$step $result\n";
}
