import {expect, test} from 'vitest'
import {pathTemplate} from '../../../src/report/path-template.ts'

test.each([
  ['/', '/'],
  ['/users/42', '/users/:id'],
  ['/users/42/orders/7?token=secret#part', '/users/:id/orders/:id'],
  ['/a/b//c/', '/a/b//c/'],
  ['/api/v1/pods', '/api/v1/pods'],
  ['/apis/batch/v1beta1/oauth2/i18n/K8s', '/apis/batch/v1beta1/oauth2/i18n/K8s'],
  ['/.well-known/openid-configuration', '/.well-known/openid-configuration'],
  ['/how-to-build-a-service-mesh.html', '/how-to-build-a-service-mesh.html'],
  ['/getUserProfileSettings', '/getUserProfileSettings'],
  ['/files/0f8fad5b-d9cb-469f-a165-70867728950e', '/files/:id'],
  ['/commit/3f786850e387550fdab836ed7e6dc881de23001b', '/commit/:id'],
  ['/blobs/c0ffee00', '/blobs/:id'],
  ['/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', '/t/:id'],
  ['/t/AbCdEfGhIjKl', '/t/:id'],
  ['/t/' + 'a'.repeat(26), '/t/:id'],
  ['/by/someone@example.com', '/by/:id'],
  ['/name/J%C3%B6rg', '/name/:id'],
  ['/cart;jsessionid=1A2B3C/items', '/cart/items'],
  ['/2024-01-02/1.5/10.0.0.1', '/:id/:id/:id'],
  ['/order-1234', '/:id'],
  ['http://user:secret@example.com:80/a/1?b', '/a/:id'],
  ['http://example.com', '/'],
  ['*', '*'],
  ['user:secret@example.com:443', '*'],
  ['/' + Array.from({length: 20}, () => 'a').join('/'), '/' + Array.from({length: 12}, () => 'a').join('/') + '/*'],
])('%s is %s', (path, template) => {
  expect(pathTemplate(path)).toBe(template)
})
