// SPDX-License-Identifier: Apache-2.0
// A SAML identity provider on this machine: npm samlp behind node's own HTTP server. /metadata, /sso, and /be?user=JSON: whoever comes is that user.
'use strict'
const http = require('node:http')
const samlp = require('samlp')

const conf = JSON.parse(process.env.IDP) // port, issuer, key, cert (PEM), and further options of samlp
let user = { id: 'ann', uid: 'ann', groups: ['dev'] }

class Mapper {
  constructor (who) { this.who = who }
  getClaims () { const { id, format, ...claims } = this.who; return claims }
  getNameIdentifier () {
    return { nameIdentifier: this.who.id, nameIdentifierFormat: this.who.format || 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent' }
  }
}
Mapper.prototype.metadata = []
const profileMapper = Object.assign(who => new Mapper(who), { prototype: Mapper.prototype })

const options = { ...conf, profileMapper, getUserFromRequest: () => user, getPostURL: (audience, request, req, done) => done(null, conf.acs) }
const routes = {
  '/metadata': samlp.metadata({ issuer: conf.issuer, cert: conf.cert, profileMapper, redirectEndpointPath: '/sso', postEndpointPath: '/sso' }),
  // A provider that begins by itself answers nothing, and says whom it means.
  '/sso': (req, res, next) => samlp.auth({ ...options, recipient: conf.acs, destination: conf.acs })(req, res, next),
  '/unasked': (req, res, next) => samlp.auth({ ...options, audience: req.query.audience, recipient: conf.acs, destination: conf.acs })(req, res, next),
  '/be': (req, res) => { user = JSON.parse(req.query.user); res.send('ok') }
}

http.createServer((req, res) => {
  const url = new URL(req.url, 'http://' + req.headers.host)
  req.query = Object.fromEntries(url.searchParams)
  req.originalUrl = req.url
  req.protocol = 'http'
  res.set = (k, v) => res.setHeader(k, v)
  res.send = body => { if (typeof body === 'number') { res.statusCode = body; body = '' } res.end(body) }
  const route = routes[url.pathname]
  if (!route) { res.statusCode = 404; res.end(); return }
  route(req, res, e => { res.statusCode = 500; res.end(String(e)) })
}).listen(conf.port, '127.0.0.1', () => console.log('ready'))
