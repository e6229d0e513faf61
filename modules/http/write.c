/* SPDX-License-Identifier: Apache-2.0 */
/* Writing messages: only what the parser of the other side can read in one way. */
#include "chars.h"

static void
put_decimal(struct sp_writer *w, uint64_t n)
{
	uint8_t digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (uint8_t)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	sp_wr_put(w, (struct sp_bytes){ digits + at, sizeof(digits) - at });
}

void
http_put_request(struct sp_writer *w, struct sp_bytes method, struct sp_bytes target)
{
	if (!chars_are_token(method) || !chars_are_target(target))
		w->bad = true;
	sp_wr_put(w, method);
	sp_wr_u8(w, ' ');
	sp_wr_put(w, target);
	sp_wr_put(w, SP_LIT(" HTTP/1.1\r\n"));
}

void
http_put_status(struct sp_writer *w, unsigned status)
{
	if (status < 100 || status > 599)
		w->bad = true;
	sp_wr_put(w, SP_LIT("HTTP/1.1 "));
	put_decimal(w, status);
	sp_wr_u8(w, ' ');
	sp_wr_put(w, sp_str(http_reason(status)));
	sp_wr_put(w, SP_LIT("\r\n"));
}

void
http_put_field(struct sp_writer *w, const char *name, struct sp_bytes value)
{
	if (!chars_are_token(sp_str(name)) || !chars_are_value(value))
		w->bad = true;
	sp_wr_put(w, sp_str(name));
	sp_wr_put(w, SP_LIT(": "));
	sp_wr_put(w, value);
	sp_wr_put(w, SP_LIT("\r\n"));
}

void
http_put_field_u64(struct sp_writer *w, const char *name, uint64_t value)
{
	uint8_t digits[24];
	struct sp_writer text = sp_writer(digits, sizeof(digits));
	put_decimal(&text, value);
	http_put_field(w, name, sp_written(&text));
}

void
http_put_end(struct sp_writer *w)
{
	sp_wr_put(w, SP_LIT("\r\n"));
}

void
http_put_chunk(struct sp_writer *w, struct sp_bytes piece)
{
	static const char digit[] = "0123456789abcdef";
	if (piece.len == 0)
		return;
	uint8_t size[16];
	size_t at = sizeof(size);
	for (size_t n = piece.len; n > 0; n >>= 4)
		size[--at] = (uint8_t)digit[n & 15];
	sp_wr_put(w, (struct sp_bytes){ size + at, sizeof(size) - at });
	sp_wr_put(w, SP_LIT("\r\n"));
	sp_wr_put(w, piece);
	sp_wr_put(w, SP_LIT("\r\n"));
}

void
http_put_last_chunk(struct sp_writer *w)
{
	sp_wr_put(w, SP_LIT("0\r\n\r\n"));
}

const char *
http_reason(unsigned status)
{
	static const struct { unsigned status; const char *reason; } reasons[] = {
		{ 100, "Continue" }, { 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
		{ 204, "No Content" }, { 206, "Partial Content" }, { 301, "Moved Permanently" }, { 302, "Found" },
		{ 303, "See Other" }, { 304, "Not Modified" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 408, "Request Timeout" },
		{ 409, "Conflict" }, { 411, "Length Required" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
		{ 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

static const struct { unsigned status; const char *text; } errors[] = {
	[-HTTP_EBAD] = { 400, "malformed message" },
	[-HTTP_ELONG] = { 431, "line, field count or head over its limit" },
	[-HTTP_EVERSION] = { 505, "version is not HTTP/1.1" },
	[-HTTP_ECODING] = { 501, "transfer coding other than chunked" },
	[-HTTP_EFRAMING] = { 400, "ambiguous body length" },
	[-HTTP_EHOST] = { 400, "Host missing, repeated or malformed" },
	[-HTTP_ETARGET] = { 400, "request target is not in origin form" },
	[-HTTP_EREPEATED] = { 400, "a field that may stand once is repeated" },
};

unsigned
http_error_status(int error)
{
	size_t i = (size_t)-error;
	return error < 0 && i < sizeof(errors) / sizeof(*errors) ? errors[i].status : 500;
}

const char *
http_error_text(int error)
{
	size_t i = (size_t)-error;
	return error < 0 && i < sizeof(errors) / sizeof(*errors) ? errors[i].text : "internal error";
}
