// The app registration in Entra ID, by the Microsoft Graph extension (bicepconfig.json). No secret: Entra ID
// trusts the identity. Who deploys it needs the role Application Developer, or Application.ReadWrite.All; and for
// appOnly AppRoleAssignment.ReadWrite.All. infra/app-registration.sh does the same without the extension.
extension microsoftGraphV1

@description('The registration\'s own key; the same one each time.')
param uniqueName string
@description('What people see when they consent.')
param displayName string
@description('Where a sign-in comes back to.')
param redirectUri string
@description('Object id of the identity.')
param identityPrincipalId string
@description('Whether the identity stands in for a secret.')
param trustsIdentity bool
@description('Whether the app may send by itself.')
param appOnly bool

// Microsoft Graph's well-known application and its delegated permissions, the same in every tenant.
// https://learn.microsoft.com/graph/permissions-reference
var graphAppId = '00000003-0000-0000-c000-000000000000'
var smtpSend = '258f6531-6087-4cc4-bb90-092c5fb3ed3f'
var userRead = 'e1fe6dd8-ba31-4d61-89e7-88639da4683d'
// Exchange Online's well-known application.
var exchangeAppId = '00000002-0000-0ff1-ce00-000000000000'
// Audience of an identity's token that stands in for a secret.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
var audiences = {
  AzureCloud: 'api://AzureADTokenExchange'
  AzureUSGovernment: 'api://AzureADTokenExchangeUSGov'
  AzureChinaCloud: 'api://AzureADTokenExchangeChina'
}
var audience = audiences[environment().name]

resource application 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  web: {
    redirectUris: [redirectUri]
    implicitGrantSettings: {
      enableAccessTokenIssuance: false
      enableIdTokenIssuance: false
    }
  }
  requiredResourceAccess: [
    {
      resourceAppId: graphAppId
      resourceAccess: [
        // Sending as the person who consents.
        {
          id: smtpSend
          type: 'Scope'
        }
        // Showing who is connected.
        {
          id: userRead
          type: 'Scope'
        }
      ]
    }
  ]
}

resource trust 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = if (trustsIdentity) {
  name: '${application.uniqueName}/sendoff-identity'
  description: 'The identity that the function app runs as'
  issuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
  subject: identityPrincipalId
  audiences: [audience]
}

resource enterprise 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: application.appId
}

resource exchange 'Microsoft.Graph/servicePrincipals@v1.0' existing = if (appOnly) {
  appId: exchangeAppId
}

// For app-only sending with permissions on single mailboxes. With Exchange's own RBAC for applications
// (infra/exchange.ps1 -AppRbac) it is not needed: that gives the permission together with its scope.
resource sendAsApp 'Microsoft.Graph/appRoleAssignedTo@v1.0' = if (appOnly) {
  appRoleId: filter(exchange!.appRoles, role => (role.value == 'SMTP.SendAsApp'))[0].id
  principalId: enterprise.id
  resourceId: exchange!.id
}

output clientId string = application.appId
output enterpriseObjectId string = enterprise.id
