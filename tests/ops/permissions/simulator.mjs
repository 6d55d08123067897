// Evaluates requests against policies with @cloud-copilot/iam-simulate, without this project's code.
//
// Reads one JSON object per line from standard input and writes one JSON array per line: for each
// policy, a list with true for each request that the policy allows.
import { createInterface } from 'node:readline'
import { runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

const EVERYTHING = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }]
}
const OWNER = '999999999999' // the resources' account, which no generated principal belongs to

// runUnsafeSimulation reads the name of a resource's policy, which only a ValidatedPolicy has.
function named(policy) {
  return { __validated: true, policyDocument: policy, metadata: { name: 'resource' }, errors: [] }
}

function isAllowed(policy, request, isResourcePolicy) {
  const isAnonymous = request.principal === null
  const identityPolicy = isResourcePolicy ? EVERYTHING : policy
  const result = runUnsafeSimulation(
    {
      request: {
        principal: isAnonymous ? { type: 'Anonymous' } : request.principal,
        action: request.action,
        resource: {
          resource: request.resource,
          accountId: isResourcePolicy ? OWNER : request.principal.split(':')[4]
        },
        contextVariables: request.context
      },
      identityPolicies: isAnonymous ? [] : [{ name: 'identity', policy: identityPolicy }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: isResourcePolicy ? named(policy) : undefined
    },
    {}
  )
  return result === 'Allowed'
}

for await (const line of createInterface({ input: process.stdin })) {
  const { policies, requests, isResourcePolicy } = JSON.parse(line)
  const results = policies.map((policy) =>
    requests.map((request) => isAllowed(policy, request, isResourcePolicy))
  )
  process.stdout.write(JSON.stringify(results) + '\n')
}
