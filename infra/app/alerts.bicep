// Alerts on the stable words of the log (shared/log_words.py) and on the age of the oldest waiting mail.
// docs/operations.md says what to do about each.

@description('Region.')
param location string
@description('Tags.')
param tags object
@description('Resource id of Application Insights.')
param applicationInsightsId string
@description('Addresses that alerts are sent to.')
param addresses array
@description('How old the oldest mail that may go now can get, in seconds.')
param oldestWaitingSeconds int

// An event alerts when it is there once in the last quarter of an hour; the alert ends by itself when it has not
// come again. bySender: one alert for each sender.
var wordAlerts = [
  {
    word: 'consent-required'
    says: 'A person must sign in for a sender; its mail waits.'
    severity: 1
    bySender: true
    windows: 1
  }
  {
    word: 'sender-held'
    says: 'A sender is held until somebody has done what the log line says; its mail waits.'
    severity: 1
    bySender: true
    windows: 1
  }
  {
    word: 'credential-broken'
    says: 'Entra ID refuses the app itself: an administrator must mend its registration or its credential.'
    severity: 1
    bySender: true
    windows: 1
  }
  {
    word: 'credential-expiring'
    says: 'A client secret or a certificate is about to end.'
    severity: 2
    bySender: true
    windows: 1
  }
  {
    word: 'dead-letter'
    says: 'The host gave up on a message; it is kept in the container mail-dead-letters.'
    severity: 2
    bySender: false
    windows: 1
  }
  {
    word: 'settings-wrong'
    says: 'The settings cannot be used, and nothing is sent.'
    severity: 0
    bySender: false
    windows: 1
  }
  // Time mends it; an hour of it is another matter.
  {
    word: 'token-unavailable'
    says: 'No token could be had for an hour.'
    severity: 1
    bySender: true
    windows: 4
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(addresses)) {
  name: 'ag-sendoff'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'sendoff'
    enabled: true
    emailReceivers: [
      for address in addresses: {
        name: address
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource words 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for alert in wordAlerts: {
    name: 'sendoff-${alert.word}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Sendoff: ${alert.word}'
      description: alert.says
      severity: alert.severity
      enabled: true
      scopes: [applicationInsightsId]
      evaluationFrequency: alert.windows == 1 ? 'PT5M' : 'PT15M'
      windowSize: 'PT15M'
      // The tables are there only once the app has spoken.
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: 'traces | where tostring(customDimensions.event) == "${alert.word}" | extend sender = tostring(customDimensions.sender)'
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: alert.bySender
              ? [
                  {
                    name: 'sender'
                    operator: 'Include'
                    values: ['*']
                  }
                ]
              : []
            failingPeriods: {
              numberOfEvaluationPeriods: alert.windows
              minFailingPeriodsToAlert: alert.windows
            }
          }
        ]
      }
      actions: {
        actionGroups: empty(addresses) ? [] : [people.id]
      }
    }
  }
]

resource oldestWaiting 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'sendoff-oldest-waiting'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Sendoff: oldest waiting mail'
    description: 'Mail that may go has waited longer than it should: the limit of its mailbox is too low for it, or nothing sends.'
    severity: 2
    enabled: true
    scopes: [applicationInsightsId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'customMetrics | where name == "sendoff.oldest_waiting_seconds" | extend sender = tostring(customDimensions["sendoff.sender"]), seconds = valueMax'
          timeAggregation: 'Maximum'
          metricMeasureColumn: 'seconds'
          operator: 'GreaterThan'
          threshold: oldestWaitingSeconds
          dimensions: [
            {
              name: 'sender'
              operator: 'Include'
              values: ['*']
            }
          ]
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: empty(addresses) ? [] : [people.id]
    }
  }
}
